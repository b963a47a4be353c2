"""The metrics of TABE-51, exactly as published (reference of the method: TABE, section 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack, iou


@dataclass(frozen=True)
class AmodalScores:
    """Mean IoU of amodal masks over kinds of frames; None where a clip has no such frame.

    Attributes
    ----------
    all_frames : float
        ``mIOU``.
    occluded : float or None
        ``mIOUfo``: frames whose level is not `NO_OCCLUSION`.
    fully_occluded : float or None
        ``mIOUffo``: frames in which nothing of the object is visible.
    hidden_part : float or None
        ``mIOUocc``: the hidden part alone, over frames that have one.
    """

    all_frames: float
    occluded: float | None
    fully_occluded: float | None
    hidden_part: float | None


def amodal_scores(
    predicted: MaskStack,
    truth: MaskStack,
    visible: MaskStack,
    levels: Sequence[OcclusionLevel],
) -> AmodalScores:
    """Score predicted amodal masks against true ones.

    Parameters
    ----------
    predicted, truth, visible : MaskStack
        Predicted amodal, true amodal and true visible masks, ``(T, H, W)``.
    levels : sequence of OcclusionLevel
        True occlusion level of each frame.

    Raises
    ------
    ValueError
        The stacks and levels are not of one size.

    Notes
    -----
    IoU is 0 where both masks are empty. In ``mIOUocc`` a visible pixel that the prediction misses
    counts as predicted hidden, as in the published code, where an unsigned difference wraps;
    predictions that contain the visible mask are not affected.
    """
    if not predicted.shape == truth.shape == visible.shape or len(levels) != len(truth):
        raise ValueError(
            f"predicted {predicted.shape}, true {truth.shape}, visible {visible.shape} masks and "
            f"{len(levels)} levels do not go together"
        )
    frames = [
        frame_score(predicted[frame], truth[frame], visible[frame]) for frame in range(len(levels))
    ]
    return scores_over(frames, levels)


@dataclass(frozen=True, slots=True)
class FrameScore:
    """What one frame adds to the figures of a clip.

    Attributes
    ----------
    amodal : float
        IoU of the amodal masks.
    hidden : float or None
        IoU of the hidden part; None where nothing is hidden.
    unseen : bool
        Whether nothing of the object is visible.
    """

    amodal: float
    hidden: float | None
    unseen: bool


def frame_score(predicted: Mask, truth: Mask, visible: Mask) -> FrameScore:
    """Score one frame: predicted amodal, true amodal and true visible mask, bool ``(H, W)``."""
    hidden = truth & ~visible
    return FrameScore(
        iou(predicted, truth),
        iou(predicted ^ visible, hidden) if hidden.any() else None,
        not visible.any(),
    )


def scores_over(frames: Sequence[FrameScore], levels: Sequence[OcclusionLevel]) -> AmodalScores:
    """The figures of a clip from those of its frames."""
    pairs = list(zip(frames, levels, strict=True))
    return AmodalScores(
        float(np.mean([frame.amodal for frame in frames])),
        _mean([f.amodal for f, level in pairs if level is not OcclusionLevel.NO_OCCLUSION]),
        _mean([frame.amodal for frame in frames if frame.unseen]),
        _mean([frame.hidden for frame in frames if frame.hidden is not None]),
    )


def visible_score(
    predicted: MaskStack, truth: MaskStack, query_frames: Iterable[int] = ()
) -> float | None:
    """J of visible masks: mean IoU over frames whose true mask is not empty, queries left out.

    Returns
    -------
    float or None
        None where no frame is left.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted {predicted.shape} and true {truth.shape} do not go together")
    left_out = frozenset(query_frames)
    scores = [
        iou(predicted[frame], truth[frame])
        for frame, box in enumerate(truth.boxes)
        if box is not None and frame not in left_out
    ]
    return _mean(scores)


def _mean(scores: Sequence[float]) -> float | None:
    return float(np.mean(scores)) if scores else None
