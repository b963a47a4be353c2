"""Which frames of a set are shown: the worst of each clip, the worst clips first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from napari_amodal.evaluation import ClipScores
from napari_amodal.levels import OcclusionLevel

#: Frames of one clip that are shown lie at least this share of the clip apart.
_APART = 1 / 8
_MOST_OF_A_CLIP = 3


@dataclass(frozen=True)
class WorstFrame:
    """A frame to show, and the least IoU that a run has there."""

    clip: str
    frame: int
    score: float


def worst_frames(runs: Sequence[Mapping[str, ClipScores]], count: int) -> tuple[WorstFrame, ...]:
    """Up to `count` frames of the set, worst first.

    Frames in which the object leaves the picture or is gone are left out: IoU is 0 by definition
    where both masks are empty.
    """
    names = list(dict.fromkeys(name for run in runs for name in run))
    each = max(1, min(_MOST_OF_A_CLIP, ceil(count / max(len(names), 1))))
    found = [
        frame
        for name in names
        for frame in _worst_of_clip(name, [run[name] for run in runs if name in run], each)
    ]
    return tuple(sorted(found, key=lambda frame: frame.score)[:count])


def _worst_of_clip(name: str, runs: Sequence[ClipScores], count: int) -> list[WorstFrame]:
    occlusion = runs[0].occlusion
    scores = [min(values) for values in zip(*(run.amodal for run in runs), strict=True)]
    inside = [at for at, o in enumerate(occlusion) if o.level is not OcclusionLevel.NONE]
    chosen: list[int] = []
    for frame in sorted(inside, key=lambda at: scores[at]):
        if len(chosen) < count and all(
            abs(frame - other) >= len(occlusion) * _APART for other in chosen
        ):
            chosen.append(frame)
    return [WorstFrame(name, frame, scores[frame]) for frame in chosen]
