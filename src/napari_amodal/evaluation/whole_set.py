"""Scoring a whole set on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_amodal.errors import Cancelled, InputError
from napari_amodal.evaluation.clip_scores import ClipScores, score_clip
from napari_amodal.evaluation.matching import Prediction
from napari_amodal.workers import IsCancelled, over_processes, usable_cores

#: Processes take a second to start; so many clips take less.
_FEW = 4

_Job = tuple[str, Prediction, Path]


@dataclass(frozen=True)
class Scored:
    """What became of a clip of a set.

    Attributes
    ----------
    name : str
    scores : ClipScores or None
        None where it cannot be scored.
    wrong : str
        Why it cannot; empty where it can.
    """

    name: str
    scores: ClipScores | None
    wrong: str = ""


def score_set(
    pairs: Mapping[str, tuple[Prediction, Path]],
    workers: int | None = None,
    is_cancelled: IsCancelled = lambda: False,
) -> Iterator[Scored]:
    """Score the clips of a set, and give each as it is done; one that cannot be costs no other.

    Parameters
    ----------
    pairs : mapping of str to tuple of Prediction and pathlib.Path
        Predicted and true clip by name (`match_clips`).
    workers : int, optional
        Processes; one a core unless told otherwise, and none for a handful of clips.
    is_cancelled : callable

    Raises
    ------
    Cancelled
        `is_cancelled` said so.
    """
    jobs = [(name, *pair) for name, pair in pairs.items()]
    count = workers or (1 if len(jobs) <= _FEW else min(usable_cores(), len(jobs)))
    if count == 1:
        for name, prediction, truth in jobs:
            if is_cancelled():
                raise Cancelled("the run was cancelled")
            try:
                yield Scored(name, score_clip(prediction, truth))
            except InputError as error:
                yield Scored(name, None, str(error))
        return
    for ended in over_processes(_score, jobs, [{}] * count, is_cancelled):
        if ended.error is not None and not isinstance(ended.error, InputError):
            raise ended.error
        yield Scored(ended.job[0], ended.result, str(ended.error or ""))


def _score(job: _Job, is_cancelled: IsCancelled) -> ClipScores:
    _, prediction, truth = job
    return score_clip(prediction, truth)
