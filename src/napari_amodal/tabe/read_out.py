"""Masks off generated videos, and which of them to believe (TABE; reference page, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import clip_from_array
from napari_amodal.masks import Mask, MaskStack, iou
from napari_amodal.stages import Hypothesis, Query
from napari_amodal.tabe.sam2_network import Sam2Network


def read_out(
    reader: Sam2Network,
    video: NDArray[np.uint8],
    visible: NDArray[np.bool_],
    on_frame: Callable[[], None],
    check: Callable[[], None] = lambda: None,
) -> list[Mask]:
    """Amodal masks on the canvas: SAM 2 follows the object through a generated video.

    It is prompted by the visible mask of the first frame that has one (section 9).

    Parameters
    ----------
    video : ndarray
        uint8 ``(T, S, S, 3)``.
    visible : ndarray
        bool ``(T, S, S)``.
    on_frame, check : callable
        Called after each frame, and many times a frame; what they raise ends it.
    """
    seen = np.flatnonzero(visible.any(axis=(1, 2)))
    masks = [np.zeros(video.shape[1:3], np.bool_)] * len(video)
    if seen.size == 0:
        return masks
    first = int(seen[0])
    query = Query({first: visible[first]})
    for found in reader.track(clip_from_array(video), {1: query}, check):
        masks[found.frame] = found.mask
        on_frame()
    return masks


def ranked(stacks: Sequence[MaskStack]) -> tuple[Hypothesis, ...]:
    """Hypotheses by how well they agree with the others: the mean IoU with each, best first."""
    scores = np.ones(len(stacks))
    for index, stack in enumerate(stacks):
        others = [other for other in stacks if other is not stack]
        if others:
            scores[index] = np.mean([_agreement(stack, other) for other in others])
    order = sorted(range(len(stacks)), key=lambda index: -scores[index])
    return tuple(Hypothesis(stacks[index], float(scores[index])) for index in order)


def _agreement(first: MaskStack, second: MaskStack) -> float:
    """Mean IoU over the frames in which they differ or are not empty; 1 where there is none."""
    frames = [t for t in range(len(first)) if first.boxes[t] or second.boxes[t]]
    return float(np.mean([iou(first[t], second[t]) for t in frames])) if frames else 1.0
