"""Scoring a whole set on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from napari_amodal.evaluation.clip_scores import ClipScores, score_clip
from napari_amodal.evaluation.matching import Prediction
from napari_amodal.workers import IsCancelled, over_processes, usable_cores

#: Processes take a second to start; so many clips take less.
_FEW = 4

_Job = tuple[str, Prediction, Path]


def score_set(
    pairs: Mapping[str, tuple[Prediction, Path]],
    workers: int | None = None,
    is_cancelled: IsCancelled = lambda: False,
) -> Iterator[tuple[str, ClipScores]]:
    """Score the clips of a set, and give each as it is done.

    Parameters
    ----------
    pairs : mapping of str to tuple of Prediction and pathlib.Path
        Predicted and true clip by name (`match_clips`).
    workers : int, optional
        Processes; one a core unless told otherwise, and none for a handful of clips.
    is_cancelled : callable

    Raises
    ------
    InputError
        As `score_clip`, for the first clip that has it.
    Cancelled
        `is_cancelled` said so.
    """
    jobs = [(name, *pair) for name, pair in pairs.items()]
    count = workers or (1 if len(jobs) <= _FEW else min(usable_cores(), len(jobs)))
    if count == 1:
        for name, prediction, truth in jobs:
            yield name, score_clip(prediction, truth)
        return
    for ended in over_processes(_score, jobs, [{}] * count, is_cancelled):
        if ended.error is not None:
            raise ended.error
        assert ended.result is not None
        yield ended.job[0], ended.result


def _score(job: _Job, is_cancelled: IsCancelled) -> ClipScores:
    _, prediction, truth = job
    return score_clip(prediction, truth)
