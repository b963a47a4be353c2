"""Means of figures, and how far hypotheses spread around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_amodal.evaluation.clip_scores import ClipScores


@dataclass(frozen=True)
class Scores:
    """The figures of one clip, or their means; None where a figure is not defined.

    Attributes
    ----------
    miou, miou_fo, miou_ffo, miou_occ : float or None
        Mean IoU of the amodal masks over all frames, over occluded and over fully occluded ones,
        and of the hidden part (see `napari_amodal.metrics`).
    j_visible : float or None
        Mean IoU of the visible masks, the query frame left out.
    """

    miou: float | None = None
    miou_fo: float | None = None
    miou_ffo: float | None = None
    miou_occ: float | None = None
    j_visible: float | None = None


@dataclass(frozen=True)
class Spread:
    """Figures over several hypotheses.

    Attributes
    ----------
    mean : Scores
    deviation : Scores
        The sample standard deviation (``n - 1``); None for a single hypothesis.
    error : Scores
        The standard error of the mean, the deviation over ``sqrt(n)``.
    """

    mean: Scores
    deviation: Scores
    error: Scores


@dataclass(frozen=True)
class SetScores:
    """Figures of a whole set.

    Attributes
    ----------
    clips : int
    hypotheses : int or None
        How many every clip has; None where they differ.
    over_hypotheses : Spread
        Each hypothesis of the set scored as a run of its own, by the mean over its clips, and the
        spread of these; only the mean is defined where the numbers of hypotheses differ.
    """

    clips: int
    hypotheses: int | None
    over_hypotheses: Spread

    @property
    def mean(self) -> Scores:
        return self.over_hypotheses.mean


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of each figure over the scores that have it."""
    return _each(scores, fmean, least=1)


def spread_of(scores: Sequence[Scores]) -> Spread:
    """Mean, standard deviation and standard error of each figure."""
    return Spread(
        mean_scores(scores),
        _each(scores, stdev, least=2),
        _each(scores, lambda values: stdev(values) / sqrt(len(values)), least=2),
    )


def set_scores(clips: Mapping[str, ClipScores]) -> SetScores:
    """The figures of a set: means over the clips that have them."""
    mean = mean_scores([clip.spread.mean for clip in clips.values()])
    counts = {len(clip.hypotheses) for clip in clips.values()}
    if len(counts) != 1:
        return SetScores(len(clips), None, Spread(mean, Scores(), Scores()))
    (count,) = counts
    runs = [
        mean_scores([clip.hypotheses[at].scores for clip in clips.values()]) for at in range(count)
    ]
    spread = spread_of(runs)
    return SetScores(len(clips), count, Spread(mean, spread.deviation, spread.error))


def _each(
    scores: Sequence[Scores], figure: Callable[[Sequence[float]], float], *, least: int
) -> Scores:
    def over(name: str) -> float | None:
        values = [value for one in scores if (value := getattr(one, name)) is not None]
        return figure(values) if len(values) >= least else None

    return Scores(**{field.name: over(field.name) for field in fields(Scores)})
