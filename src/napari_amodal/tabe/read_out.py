"""Masks off generated videos, and which of them to believe (TABE; reference page, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import clip_from_array
from napari_amodal.masks import Mask, MaskStack, iou
from napari_amodal.stages import Clicks, Hypothesis, Query
from napari_amodal.tabe.canvas import CanvasFrames
from napari_amodal.tabe.sam2_network import Sam2Network


def read_out(
    reader: Sam2Network,
    video: NDArray[np.uint8],
    query: Query,
    on_frame: Callable[[], None],
    check: Callable[[], None] = lambda: None,
) -> list[Mask]:
    """Amodal masks on the canvas: SAM 2 follows the object through a generated video.

    Parameters
    ----------
    video : ndarray
        uint8 ``(T, S, S, 3)``.
    query : Query
        What the object is, on the canvas (see `prompts`).
    on_frame, check : callable
        Called after each frame, and many times a frame; what they raise ends it.
    """
    masks = [np.zeros(video.shape[1:3], np.bool_)] * len(video)
    for found in reader.track(clip_from_array(video), {1: query}, check):
        masks[found.frame] = found.mask
        on_frame()
    return masks


def prompts(
    given: CanvasFrames,
    amodal: Mapping[int, Mask],
    whole: Collection[int],
    boxes: Sequence[Box | None],
) -> Query:
    """What SAM 2 is told of the object in a chunk.

    Amodal masks where they are known; else the visible mask of the first frame in which nothing is
    hidden, with which published chunks begin (section 9); else, since a part told as a mask would
    be taken for all there is, the amodal box of the frame that shows most of the object, and a
    point in what it shows.

    Parameters
    ----------
    amodal : mapping of int to ndarray
        Index in the chunk to a known amodal mask on the canvas, bool ``(S, S)``.
    whole : collection of int
        Indices of the frames in which nothing is hidden.
    boxes : sequence of Box or None
        Amodal box of each frame on the canvas; at least one.
    """
    known = {at: mask for at, mask in amodal.items() if mask.any()}
    if known:
        return Query(known)
    sizes = given.visible.sum(axis=(1, 2))
    unhidden = [at for at in whole if sizes[at]]
    if unhidden:
        return Query({min(unhidden): given.visible[min(unhidden)]})
    boxed = [at for at, box in enumerate(boxes) if box is not None]
    best = max(boxed, key=lambda at: sizes[at])
    inside = (_deepest(given.visible[best]),) if sizes[best] else ()
    return Query({}, clicks={best: Clicks(inside, box=boxes[best])})


def _deepest(mask: Mask) -> tuple[float, float]:
    """The pixel of a mask that is farthest from its outline, ``(y, x)``."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y - 1), float(x - 1)


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
