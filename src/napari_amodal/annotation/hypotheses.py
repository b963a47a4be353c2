"""Choosing between hypotheses, and seeing where they disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_amodal.annotation.object_annotation import (
    CONSENSUS,
    ObjectAnnotation,
    with_origin,
)
from napari_amodal.boxes import Box
from napari_amodal.export import Origin
from napari_amodal.masks import Mask


def picked(annotated: ObjectAnnotation, choice: int, frames: Iterable[int]) -> ObjectAnnotation:
    """The object with a hypothesis taken on some frames; locked frames stay as they are.

    Parameters
    ----------
    annotated : ObjectAnnotation
    choice : int
        Number of the hypothesis, or `CONSENSUS`.
    frames : iterable of int

    Raises
    ------
    ValueError
        There is no such hypothesis.
    """
    if choice != CONSENSUS and not 0 <= choice < len(annotated.hypotheses):
        raise ValueError(f"there are {len(annotated.hypotheses)} hypotheses, not number {choice}")
    chosen = frozenset(frames) - annotated.locked
    masks = {frame: hypothesis_mask(annotated, choice, frame) for frame in sorted(chosen)}
    picks = tuple(choice if at in chosen else old for at, old in enumerate(annotated.picks))
    return replace(
        annotated,
        amodal=annotated.amodal.replaced(masks),
        amodal_origin=with_origin(annotated.amodal_origin, chosen, Origin.COMPLETED),
        picks=picks,
    )


def hypothesis_mask(annotated: ObjectAnnotation, choice: int, frame: int) -> Mask:
    """The amodal mask that a choice stands for on a frame, the visible mask in it, ``(H, W)``."""
    if choice == CONSENSUS:
        mask = consensus(annotated, frame)
    else:
        mask = annotated.hypotheses[choice].amodal[frame]
    return mask | annotated.visible[frame]


def consensus(annotated: ObjectAnnotation, frame: int) -> Mask:
    """What most hypotheses say, bool ``(H, W)``; the best one decides where they are even."""
    votes, box = _votes(annotated, frame)
    mask = np.zeros(annotated.visible.shape[1:], np.bool_)
    if box is None:
        return mask
    count = len(annotated.hypotheses)
    best = annotated.hypotheses[0].amodal[frame][box.slices]
    mask[box.slices] = (2 * votes > count) | ((2 * votes == count) & best)
    return mask


def disagreement(annotated: ObjectAnnotation, frame: int) -> NDArray[np.float32]:
    """How divided the hypotheses are, float32 ``(H, W)``: 0 where all agree, 1 where half do."""
    votes, box = _votes(annotated, frame)
    divided = np.zeros(annotated.visible.shape[1:], np.float32)
    if box is not None:
        share = votes / np.float32(len(annotated.hypotheses))
        divided[box.slices] = 1 - np.abs(2 * share - 1)
    return divided


def disagreement_share(annotated: ObjectAnnotation, frame: int) -> float:
    """Share of all that any hypothesis says of a frame that not every one does, 0..1."""
    first = annotated.hypotheses[:1]
    if all(found.amodal.same_frame(first[0].amodal, frame) for found in annotated.hypotheses):
        return 0.0
    votes, _ = _votes(annotated, frame)
    said = np.count_nonzero(votes)
    return 1.0 - np.count_nonzero(votes == len(annotated.hypotheses)) / said if said else 0.0


def _votes(annotated: ObjectAnnotation, frame: int) -> tuple[NDArray[np.uint8], Box | None]:
    """How many hypotheses hold each pixel of the box around all of them."""
    stacks = [found.amodal for found in annotated.hypotheses]
    box: Box | None = None
    for stack in stacks:
        own = stack.packed[frame].box
        if own is not None:
            box = own if box is None else box.union(own)
    if box is None:
        return np.zeros((0, 0), np.uint8), None
    votes = np.zeros((box.height, box.width), np.uint8)
    for stack in stacks:
        votes += stack[frame][box.slices].view(np.uint8)
    return votes, box
