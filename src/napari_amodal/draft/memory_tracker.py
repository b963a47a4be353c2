"""The learned tracker: a memory network on a crop around the object, both ways in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from napari_amodal.clip import Clip, Frame
from napari_amodal.draft.both_ways import Sight, track_both_ways
from napari_amodal.draft.look_back import look_back
from napari_amodal.draft.memory_follower import Follower
from napari_amodal.draft.memory_network import PARTS, network
from napari_amodal.draft.shipped import lacking
from napari_amodal.masks import Mask
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


class MemoryTracker:
    """Follows objects by a space-time memory network, trained on composed clips; on the CPU."""

    settings_type: ClassVar[type] = MemorySettings
    title: ClassVar[str] = "Tracking"
    seconds_per_frame: ClassVar[float] = 0.08

    def __init__(self, settings: MemorySettings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return lacking(*(f"tracker_{part}.onnx" for part in PARTS))

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        """Find the visible masks of the queried objects on every frame; see `track_both_ways`."""
        found = track_both_ways(clip, queries, watch, lambda: _OneWay(self._new_follower))
        for object_id, best in found.items():
            given = queries[object_id].visible
            for frame in look_back(clip, given, best, self._new_follower):
                shown = FrameMask("visible", object_id, frame, best.masks[frame])
                watch.step(1, 1, shown, "looking back")
        return {object_id: best.track for object_id, best in found.items()}

    def _new_follower(self) -> Follower:
        return Follower(network(), self._settings.crop, self._settings.memory)


class _OneWay:
    """Objects that are followed in one direction, each for itself."""

    def __init__(self, new: Callable[[], Follower]) -> None:
        self._new = new
        self._followers: dict[int, Follower] = {}

    def next(self, frame: Frame, given: Mapping[int, Mask], watch: Watch) -> Iterator[Sight]:
        followed = {key: one for key, one in self._followers.items() if key not in given}
        for object_id, follower in followed.items():
            watch.check()
            seen = follower.step(frame)
            yield Sight(object_id, seen.mask, seen.confidence)
        for object_id, mask in given.items():
            watch.check()
            if object_id not in self._followers:
                self._followers[object_id] = self._new()
            self._followers[object_id].start(frame, mask)
