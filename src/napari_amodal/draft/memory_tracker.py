"""The learned tracker: a memory network on a crop around the object, both ways in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.draft.memory_follower import Follower
from napari_amodal.draft.memory_network import network
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Query, VisibleTrack


@dataclass(frozen=True)
class MemorySettings:
    """Settings of the learned tracker."""

    crop: int = field(
        default=256,
        metadata={
            "label": "working size",
            "help": "Side of the square around the object that is looked at, in pixels; more is "
            "finer, slower",
            "min": 128,
            "max": 512,
            "step": 32,
        },
    )
    memory: int = field(
        default=2,
        metadata={
            "label": "remembered frames",
            "help": "Frames that are remembered besides the queries and the last; each costs time",
            "min": 0,
            "max": 8,
            "step": 1,
        },
    )


@dataclass(frozen=True)
class _Found:
    """An object's mask on a frame, and how far it is trusted."""

    frame: int
    object_id: int
    mask: Mask
    confidence: float


class MemoryTracker:
    """Follows objects by a space-time memory network, trained on composed clips; on the CPU."""

    settings_type: ClassVar[type] = MemorySettings
    title: ClassVar[str] = "Tracking"
    seconds_per_frame: ClassVar[float] = 0.08

    def __init__(self, settings: MemorySettings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        if find_spec("onnxruntime") is None:
            return ("it needs onnxruntime: pip install onnxruntime",)
        return ()

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        """Find the visible masks of the queried objects on every frame.

        Between two query frames each frame takes the more confident of the masks found forward
        from the one and backward from the other.
        """
        shape = (len(clip), clip.height, clip.width)
        masks = {object_id: MaskStack.empty(*shape) for object_id in queries}
        confidence = {object_id: np.full(len(clip), -1.0, np.float32) for object_id in queries}
        total = sum(_steps(clip, queries))
        for done, found in enumerate(self._both_ways(clip, queries, watch), 1):
            object_id, frame = found.object_id, found.frame
            if found.confidence > confidence[object_id][frame]:
                confidence[object_id][frame] = found.confidence
                masks[object_id] = masks[object_id].replaced({frame: found.mask})
            shown = FrameMask("visible", object_id, frame, masks[object_id][frame])
            watch.step(done, total, shown)
        return {
            object_id: VisibleTrack(masks[object_id], confidence[object_id])
            for object_id in queries
        }

    def _both_ways(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Iterator[_Found]:
        first = min(min(query.visible) for query in queries.values())
        last = max(max(query.visible) for query in queries.values())
        for object_id, query in queries.items():
            for frame, mask in query.visible.items():
                yield _Found(frame, object_id, mask, 1.0)
        yield from self._one_way(clip, queries, range(first, len(clip)), watch)
        yield from self._one_way(clip, queries, range(last, -1, -1), watch)

    def _one_way(
        self, clip: Clip, queries: Mapping[int, Query], frames: range, watch: Watch
    ) -> Iterator[_Found]:
        """Follow every object along `frames`, from its first query frame on the way."""
        if len(frames) < 2:
            return
        followers: dict[int, Follower] = {}
        for index in frames:
            watch.check()
            frame = clip.frame(index)
            for object_id, query in queries.items():
                watch.check()
                if index in query.visible:
                    if object_id not in followers:
                        followers[object_id] = self._new_follower()
                    followers[object_id].start(frame, query.visible[index])
                elif object_id in followers:
                    sight = followers[object_id].step(frame)
                    yield _Found(index, object_id, sight.mask, sight.confidence)

    def _new_follower(self) -> Follower:
        return Follower(network(), self._settings.crop, self._settings.memory)


def _steps(clip: Clip, queries: Mapping[int, Query]) -> Iterator[int]:
    """How many masks `track` makes or takes of each object."""
    for query in queries.values():
        frames = query.visible.keys()
        yield len(frames)
        yield len(clip) - min(frames) - len(frames)
        yield max(frames) + 1 - len(frames)
