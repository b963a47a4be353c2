"""Reasoners and completers that draw the whole object in its windows, and tell from that.

Two of each: `aligned` asks what the windows showed of the object at other times (`aligned_memory`),
`learned` a network that is seconded by that (`seconded_network`). A completer takes over what its
reasoner has drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from napari_amodal.clip import Clip
from napari_amodal.draft.aligned_memory import AlignedMemory
from napari_amodal.draft.completer_network import COMPLETER, completer_network
from napari_amodal.draft.completion import Answers
from napari_amodal.draft.motion import measure_motion
from napari_amodal.draft.object_completion import DrawnOcclusion, complete_object, within_hiders
from napari_amodal.draft.seconded_network import SecondedNetwork
from napari_amodal.draft.shipped import lacking
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack


@dataclass(frozen=True)
class DrawnSettings:
    """These stages have no settings."""


class _Aligned:
    """Asks what the windows showed at other times."""

    settings_type: ClassVar[type] = DrawnSettings

    def __init__(self, settings: DrawnSettings) -> None:
        pass

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def _answers(self) -> Answers:
        return AlignedMemory()


class _Learned:
    """Asks the network, seconded."""

    settings_type: ClassVar[type] = DrawnSettings

    def __init__(self, settings: DrawnSettings) -> None:
        pass

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return lacking(COMPLETER.name)

    def _answers(self) -> Answers:
        return SecondedNetwork(completer_network())


class _Reasoner:
    """Tells levels, boxes and hiders of each object, with the drawing that they come from."""

    title: ClassVar[str] = "Finding what hides it"

    def reason(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> Mapping[int, DrawnOcclusion]:
        return _drawn(clip, queries, tracks, watch, self._answers())

    def _answers(self) -> Answers:
        raise NotImplementedError


class _Completer:
    """Hands on what the reasoner has drawn.

    After a reasoner that draws nothing the objects are drawn here, and kept where its hiders are.
    """

    title: ClassVar[str] = "Completing hidden parts"
    seconds_per_frame: ClassVar[float] = 0.003

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        occlusions: Mapping[int, Occlusion],
        watch: Watch,
    ) -> Mapping[int, tuple[Hypothesis, ...]]:
        found = {
            object_id: occlusion.hypotheses
            for object_id, occlusion in occlusions.items()
            if isinstance(occlusion, DrawnOcclusion)
        }
        others = {key: query for key, query in queries.items() if key not in found}
        if others:
            drawn = _drawn(clip, others, tracks, watch, self._answers())
            for object_id, occlusion in drawn.items():
                found[object_id] = within_hiders(
                    occlusion.hypotheses, tracks[object_id].masks, occlusions[object_id].hiders
                )
        steps = len(clip) * len(queries)
        for number, object_id in enumerate(queries):
            for frame in range(len(clip)):
                mask = found[object_id][0].amodal[frame]
                shown = FrameMask("amodal", object_id, frame, mask)
                watch.step(len(clip) * number + frame + 1, steps, shown)
        return found

    def _answers(self) -> Answers:
        raise NotImplementedError


class AlignedReasoner(_Aligned, _Reasoner):
    """What hides the object, from its shape at other times in windows that follow it."""

    seconds_per_frame: ClassVar[float] = 0.03


class AlignedCompleter(_Aligned, _Completer):
    """Hidden parts, from the object's shape at other times in windows that follow it."""


class LearnedReasoner(_Learned, _Reasoner):
    """What hides the object, told by a network trained on composed clips; on the CPU."""

    seconds_per_frame: ClassVar[float] = 0.045


class LearnedCompleter(_Learned, _Completer):
    """Hidden parts, drawn by a network trained on composed clips; on the CPU."""


def _drawn(
    clip: Clip,
    queries: Mapping[int, Query],
    tracks: Mapping[int, VisibleTrack],
    watch: Watch,
    answers: Answers,
) -> Mapping[int, DrawnOcclusion]:
    """Every object drawn; reads the frames once, and about once more an object."""
    steps = len(clip) * (1 + len(queries))
    visible = {object_id: tracks[object_id].masks for object_id in queries}
    motion = measure_motion(clip, visible, watch, (0, steps))
    found = {}
    for number, (object_id, query) in enumerate(queries.items(), 1):
        done = len(clip) * number

        def on_frame(reached: int, done: int = done) -> None:
            watch.step(done + min(reached, len(clip)), steps)

        found[object_id] = complete_object(
            clip, query, tracks[object_id], motion, object_id, answers, on_frame
        )
    return found
