"""The figures of one predicted clip, read frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.evaluation.matching import Prediction
from napari_amodal.evaluation.spread import Scores, Spread, spread_of
from napari_amodal.formats.published import read_prediction
from napari_amodal.formats.tabe51 import AMODAL, HYPOTHESES, is_tabe51, read_tabe51
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, iou
from napari_amodal.metrics import FrameScore, frame_score, scores_over


@dataclass(frozen=True)
class HypothesisScores:
    """The figures of one hypothesis.

    Attributes
    ----------
    name : str
        The folder of the hypothesis; empty where our own layout holds one alone.
    masks : pathlib.Path
        The folder of its amodal masks.
    scores : Scores
    amodal : tuple of float
        IoU of the amodal mask of each frame; empty where the truth has none.
    """

    name: str
    masks: Path
    scores: Scores
    amodal: tuple[float, ...]


@dataclass(frozen=True)
class ClipScores:
    """What was found of one clip.

    Attributes
    ----------
    truth : pathlib.Path
        The true clip.
    hypotheses : tuple of HypothesisScores
        One or more.
    occlusion : tuple of FrameOcclusion
        True level and amount of each frame; empty where the truth has no amodal masks.
    """

    truth: Path
    hypotheses: tuple[HypothesisScores, ...]
    occlusion: tuple[FrameOcclusion, ...]

    @property
    def spread(self) -> Spread:
        """Mean, standard deviation and standard error over the hypotheses."""
        return spread_of([hypothesis.scores for hypothesis in self.hypotheses])

    @property
    def amodal(self) -> tuple[float, ...]:
        """IoU of the amodal mask of each frame, the mean over the hypotheses."""
        frames = zip(*(hypothesis.amodal for hypothesis in self.hypotheses), strict=True)
        return tuple(fmean(values) for values in frames)


def score_clip(prediction: Prediction, truth: Path) -> ClipScores:
    """Score one predicted clip.

    Several hypotheses are scored one by one; the published layout has no visible masks and so no
    `j_visible`. A true clip without ``gt_masks/`` defines no figure of amodal masks.

    Raises
    ------
    InputError
        Masks of some frames are missing, or the two clips are not of one size.
    """
    true = _read_truth(truth)
    ours = is_tabe51(prediction.folder)
    if not ours and not prediction.hypotheses:
        raise InputError(f"{prediction.folder}/final_outputs holds no folder with masks")
    guesses = (
        _ours(prediction.folder, needed=true.amodal is not None)
        if ours
        else [_published(folder) for folder in prediction.hypotheses]
    )
    frames: list[list[FrameScore]] = [[] for _ in guesses]
    occlusion: tuple[FrameOcclusion, ...] = ()
    if true.amodal is not None:
        frames, occlusion = _score_frames(guesses, true)
    visible = _score_visible(prediction.folder, true) if ours else None
    levels = [found.level for found in occlusion]
    return ClipScores(
        truth,
        tuple(
            _hypothesis(guess, scored, levels, visible)
            for guess, scored in zip(guesses, frames, strict=True)
        ),
        occlusion,
    )


@dataclass(frozen=True)
class _Masks:
    """Masks by frame, read when they are looked up."""

    name: str
    folder: Path
    masks: Mapping[int, Mask]
    size: tuple[int, int]

    def check(self, frames: int, size: tuple[int, int]) -> None:
        """Raise `InputError` unless there is a mask of this size for every frame."""
        for frame in range(frames):
            if frame not in self.masks:
                raise InputError(
                    f"{self.folder} has {len(self.masks)} masks for {frames} frames, frame {frame} "
                    "has none: scoring needs one for every frame"
                )
        if self.size != size or len(self.masks) != frames:
            raise InputError(
                f"{self.folder} has {_described(len(self.masks), self.size)}, the truth has "
                f"{_described(frames, size)}: they are not of the same clip"
            )


def _described(count: int, size: tuple[int, int]) -> str:
    return f"{count} masks of {size[1]}x{size[0]}"


@dataclass(frozen=True)
class _Truth:
    """What is known of a true clip; a natural one has no amodal masks, a new one neither."""

    frames: int
    size: tuple[int, int]
    amodal: _Masks | None
    visible: _Masks | None
    occlusion: tuple[FrameOcclusion, ...] | None


def _size_of(clip: Clip) -> tuple[int, int]:
    return clip.height, clip.width


def _read_truth(folder: Path) -> _Truth:
    read = read_tabe51(folder)
    size, frames = _size_of(read.clip), len(read.clip)
    visible = _Masks("", folder / "visible_masks", read.visible, size)
    if not read.amodal:
        return _Truth(frames, size, None, visible if len(read.visible) == frames else None, None)
    amodal = _Masks("", folder / "gt_masks", read.amodal, size)
    for masks in (amodal, visible):
        masks.check(frames, size)
    return _Truth(frames, size, amodal, visible, read.occlusion)


def _ours(folder: Path, *, needed: bool) -> list[_Masks]:
    """Every hypothesis of a clip folder, or its amodal masks where they are the only one."""
    read = read_tabe51(folder)
    size = _size_of(read.clip)
    found = [
        _Masks(name, folder / HYPOTHESES / name, masks, size)
        for name, masks in read.hypotheses.items()
    ] or [_Masks("", folder / AMODAL, read.amodal, size)]
    for masks in found if needed else ():
        masks.check(len(read.clip), masks.size)
    return found


def _published(folder: Path) -> _Masks:
    masks = read_prediction(folder)
    return _Masks(folder.parent.name, folder, masks, masks.size)


def _score_frames(
    guesses: Sequence[_Masks], true: _Truth
) -> tuple[list[list[FrameScore]], tuple[FrameOcclusion, ...]]:
    """The scores of each hypothesis' frames, and level and amount of each frame."""
    assert true.amodal is not None
    assert true.visible is not None
    for guess in guesses:
        guess.check(true.frames, true.size)
    scored: list[list[FrameScore]] = [[] for _ in guesses]
    occlusion = []
    for frame in range(true.frames):
        whole, seen = true.amodal.masks[frame], true.visible.masks[frame]
        for guess, scores in zip(guesses, scored, strict=True):
            scores.append(frame_score(guess.masks[frame], whole, seen))
        occlusion.append(_occlusion(whole, seen))
    return scored, true.occlusion or tuple(occlusion)


def _occlusion(whole: Mask, seen: Mask) -> FrameOcclusion:
    """Level and amount of a frame from its masks, for clips without ``annos.json``."""
    area = np.count_nonzero(whole | seen)
    if not area:
        return FrameOcclusion(OcclusionLevel.NONE, None)
    amount = 1.0 - np.count_nonzero(seen) / area
    return FrameOcclusion(level_of(amount), amount)


def _hypothesis(
    guess: _Masks,
    frames: Sequence[FrameScore],
    levels: Sequence[OcclusionLevel],
    visible: float | None,
) -> HypothesisScores:
    if not frames:
        return HypothesisScores(guess.name, guess.folder, Scores(j_visible=visible), ())
    found = scores_over(frames, levels)
    scores = Scores(
        found.all_frames, found.occluded, found.fully_occluded, found.hidden_part, visible
    )
    amodal = tuple(frame.amodal for frame in frames)
    return HypothesisScores(guess.name, guess.folder, scores, amodal)


def _score_visible(folder: Path, true: _Truth) -> float | None:
    """J of the visible masks over frames whose true mask is not empty, query frames left out."""
    read = read_tabe51(folder)
    if true.visible is None or len(read.visible) < len(read.clip):
        return None
    found = _Masks("", folder / "visible_masks", read.visible, _size_of(read.clip))
    found.check(true.frames, true.size)
    queries = _query_frames(read.provenance)
    scores = []
    for frame in range(true.frames):
        if frame not in queries and (seen := true.visible.masks[frame]).any():
            scores.append(iou(found.masks[frame], seen))
    return fmean(scores) if scores else None


def _query_frames(provenance: Mapping[str, Any] | None) -> frozenset[int]:
    """The frames that the annotator painted, as ``napari-amodal.json`` has them."""
    if provenance is None:
        return frozenset()
    several = provenance.get("query_frames")
    named = [*several] if isinstance(several, list) else []
    named.append(provenance.get("query_frame"))
    return frozenset(frame for frame in named if isinstance(frame, int))
