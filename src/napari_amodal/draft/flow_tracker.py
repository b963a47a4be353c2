"""The draft tracker: optical flow, templates and colour, both ways in time from the queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from napari_amodal.clip import Clip, Frame
from napari_amodal.draft.both_ways import Sight, track_both_ways
from napari_amodal.draft.flow import Transform, camera_motion, pair_flow
from napari_amodal.draft.object_tracker import ObjectTracker
from napari_amodal.draft.view import Scale, View
from napari_amodal.masks import Mask
from napari_amodal.progress import Watch
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
        """Find the visible masks of the queried objects on every frame; see `track_both_ways`."""
        found = track_both_ways(clip, queries, watch, lambda: _OneWay(clip, self._settings))
        return {object_id: best.track for object_id, best in found.items()}


class _OneWay:
    """Objects that are followed in one direction; the camera's motion is measured for all."""

    def __init__(self, clip: Clip, settings: FlowSettings) -> None:
        self._settings = settings
        self._scale = Scale(clip.height, clip.width, settings.longest_side)
        self._trackers: dict[int, ObjectTracker] = {}
        self._last: View | None = None
        self._camera: Transform = np.eye(3)

    def next(self, frame: Frame, given: Mapping[int, Mask], watch: Watch) -> Iterator[Sight]:
        view = self._scale.view(frame)
        watch.check()
        followed = {key: one for key, one in self._trackers.items() if key not in given}
        if self._last is not None and self._trackers:
            pair = pair_flow(self._last.grey, view.grey)
            seen = [tracker.seen for tracker in self._trackers.values()]
            self._camera = camera_motion(pair, seen, self._camera)
        self._last = view
        for object_id, tracker in followed.items():
            watch.check()
            sight = tracker.step(view, pair, self._camera)
            mask = self._scale.enlarge(sight.chance, frame)
            yield Sight(object_id, mask, sight.confidence)
        for object_id, mask in given.items():
            if object_id not in self._trackers:
                settings = self._settings
                self._trackers[object_id] = ObjectTracker(settings.memory, settings.reach)
            self._trackers[object_id].start(view, self._scale.shrink(mask))
