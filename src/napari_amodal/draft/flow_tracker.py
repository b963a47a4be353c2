"""The draft tracker: optical flow, templates and colour, both ways in time from the queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.draft.flow import Transform, camera_motion, pair_flow
from napari_amodal.draft.object_tracker import ObjectTracker
from napari_amodal.draft.view import Scale, View
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Query, VisibleTrack


@dataclass(frozen=True)
class FlowSettings:
    """Settings of the draft tracker."""

    longest_side: int = field(
        default=640,
        metadata={
            "label": "working size",
            "help": "Longest side of the frames that are tracked, in pixels; more is finer, slower",
            "min": 160,
            "max": 1280,
            "step": 32,
        },
    )
    memory: int = field(
        default=4,
        metadata={
            "label": "remembered frames",
            "help": "Looks of the object that are kept to find it again; each costs time",
            "min": 1,
            "max": 8,
            "step": 1,
        },
    )
    reach: float = field(
        default=1.0,
        metadata={
            "label": "search reach",
            "help": "How far a hidden object may turn up: half its length and a tenth for each "
            "frame that it is lost, times this",
            "min": 0.1,
            "max": 5.0,
            "step": 0.1,
        },
    )


@dataclass(frozen=True)
class _Found:
    """An object's mask on a frame, and how far it is trusted."""

    frame: int
    object_id: int
    mask: Mask
    confidence: float


class FlowTracker:
    """Follows objects by motion, remembered looks and colour; needs nothing but a CPU."""

    settings_type: ClassVar[type] = FlowSettings
    title: ClassVar[str] = "Tracking"
    seconds_per_frame: ClassVar[float] = 0.12

    def __init__(self, settings: FlowSettings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
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
        scale = Scale(clip.height, clip.width, self._settings.longest_side)
        trackers: dict[int, ObjectTracker] = {}
        last: View | None = None
        camera: Transform = np.eye(3)
        for index in frames:
            watch.check()
            frame = clip.frame(index)
            view = scale.view(frame)
            watch.check()
            if last is not None and trackers:
                pair = pair_flow(last.grey, view.grey)
                camera = camera_motion(pair, [t.seen for t in trackers.values()], camera)
            for object_id, query in queries.items():
                watch.check()
                if index in query.visible:
                    if object_id not in trackers:
                        trackers[object_id] = self._new_tracker()
                    trackers[object_id].start(view, scale.shrink(query.visible[index]))
                elif object_id in trackers:
                    sight = trackers[object_id].step(view, pair, camera)
                    mask = scale.enlarge(sight.chance, frame)
                    yield _Found(index, object_id, mask, sight.confidence)
            last = view

    def _new_tracker(self) -> ObjectTracker:
        return ObjectTracker(self._settings.memory, self._settings.reach)


def _steps(clip: Clip, queries: Mapping[int, Query]) -> Iterator[int]:
    """How many masks `track` makes or takes of each object."""
    for query in queries.values():
        frames = query.visible.keys()
        yield len(frames)
        yield len(clip) - min(frames) - len(frames)
        yield max(frames) + 1 - len(frames)
