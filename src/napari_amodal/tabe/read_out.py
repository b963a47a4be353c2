"""Masks off generated videos, and which of them to believe (TABE; reference page, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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


def prompts(given: CanvasFrames, amodal: Mapping[int, Mask], boxes: Sequence[Box | None]) -> Query:
    """What SAM 2 is told of the object in a chunk.

    Whole masks where they are known; else, as published, the visible mask of the first frame that
    has one (section 9); else the amodal box of the first frame that has one.

    Parameters
    ----------
    amodal : mapping of int to ndarray
        Index in the chunk to a known amodal mask on the canvas, bool ``(S, S)``.
    boxes : sequence of Box or None
        Amodal box of each frame on the canvas.
    """
    known = {at: mask for at, mask in amodal.items() if mask.any()}
    if known:
        return Query(known)
    seen = np.flatnonzero(given.visible.any(axis=(1, 2)))
    if seen.size:
        first = int(seen[0])
        return Query({first: given.visible[first]})
    first, box = next((at, box) for at, box in enumerate(boxes) if box is not None)
    return Query({}, clicks={first: Clicks(box=box)})


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
