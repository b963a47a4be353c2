"""An engine with a tunable pace, for tests in which time matters; the draft does the real work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.levels import FrameOcclusion, OcclusionLevel
from napari_amodal.masks import MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.registry import Engine
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack


@dataclass(frozen=True)
class StillSettings:
    pause: float = field(
        default=0.0,
        metadata={"label": "Pause (s)", "help": "Rest after each frame", "min": 0.0, "max": 5.0},
    )
    fails: bool = field(default=False, metadata={"label": "Fails"})
    stall_at: int = field(default=-1, metadata={"label": "Stall at", "min": -1})
    seed: int = 42


class StillTracker:
    """Holds the object still: each frame has the mask of the nearest query frame."""

    settings_type: ClassVar[type] = StillSettings
    title: ClassVar[str] = "Standing still"
    seconds_per_frame: ClassVar[float] = 1.0

    def __init__(self, settings: StillSettings) -> None:
        self.settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        return {
            object_id: self._track(clip, object_id, q, watch) for object_id, q in queries.items()
        }

    def _track(self, clip: Clip, object_id: int, query: Query, watch: Watch) -> VisibleTrack:
        masks = []
        for frame in range(len(clip)):
            nearest = min(query.visible, key=lambda n: abs(n - frame))
            masks.append(query.visible[nearest])
            self._rest(60.0 if frame == self.settings.stall_at else self.settings.pause, watch)
            if self.settings.fails and frame == 2:
                raise ZeroDivisionError("the stage has a fault")
            watch.step(frame + 1, len(clip), FrameMask("visible", object_id, frame, masks[-1]))
        ones = np.ones(len(clip), np.float32)
        return VisibleTrack(MaskStack(masks, clip.height, clip.width), ones)

    def _rest(self, seconds: float, watch: Watch) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            watch.check()
            time.sleep(0.005)


@dataclass(frozen=True)
class NoSettings:
    pass


class OpenReasoner:
    """Nothing hides anything."""

    settings_type: ClassVar[type] = NoSettings
    title: ClassVar[str] = "Looking"
    seconds_per_frame: ClassVar[float] = 0.1

    def __init__(self, settings: NoSettings) -> None:
        self.settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def reason(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> Mapping[int, Occlusion]:
        level = FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0)
        box = Box(0, 0, clip.height, clip.width)
        nothing = MaskStack.empty(len(clip), clip.height, clip.width)
        return {i: Occlusion((level,) * len(clip), (box,) * len(clip), nothing) for i in tracks}


class SameCompleter(OpenReasoner):
    """The whole object is what is seen of it, but for the annotator's own amodal masks."""

    title: ClassVar[str] = "Completing"

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        occlusions: Mapping[int, Occlusion],
        watch: Watch,
    ) -> Mapping[int, tuple[Hypothesis, ...]]:
        return {
            object_id: (Hypothesis(track.masks.replaced(queries[object_id].amodal), 1.0),)
            for object_id, track in tracks.items()
        }


class LackingCompleter(SameCompleter):
    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ("a crystal ball is not installed: pip install crystal-ball",)


STILL = Engine("still", "Holds the object still", "still", "open", "same")
LACKING = Engine("lacking", "Cannot run", "still", "open", "lacking")
