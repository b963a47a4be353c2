"""Which frames are worth a look, and in which order: the worst first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_amodal.annotation.hypotheses import disagreement_share
from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.export import Origin

#: Frames of less doubt than this are not pointed at: of the draft's masks with more, every other
#: one has an IoU under 0.5, of those with less one in twelve (30 composed clips).
LEAST_DOUBT = 0.3
#: The doubt of a frame whose level is another than before and after it.
FLICKER_DOUBT = 0.5
#: Of frames so near to each other only the worst is pointed at.
APART = 4


def tracker_doubt(annotated: ObjectAnnotation) -> NDArray[np.float32]:
    """How unsure the tracker is of each frame, float32 ``(T,)``, 0..1; 0 where a hand was."""
    confidence = np.asarray(annotated.confidence, np.float32)
    tracked = [origin is Origin.TRACKED for origin in annotated.visible_origin]
    doubt = np.where(tracked, 1 - confidence, 0).astype(np.float32)
    doubt[sorted(annotated.anchors)] = 0
    return doubt


def divided(annotated: ObjectAnnotation, frame: int) -> float:
    """How far the hypotheses disagree on a frame, 0..1; 0 on a locked one."""
    if frame in annotated.locked or len(annotated.hypotheses) < 2:
        return 0.0
    return disagreement_share(annotated, frame)


def flicker(levels: NDArray[np.int8], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The doubt of frames whose occlusion level is another than that of both neighbours.

    Parameters
    ----------
    levels : ndarray
        ``(T,)``; below 0 where none is known.
    known : ndarray
        bool ``(T,)``: frames that a hand has settled, of which there is no doubt.

    Returns
    -------
    ndarray
        float32 ``(T,)``.
    """
    found = np.zeros(len(levels), np.float32)
    if len(levels) > 2:
        before, here, after = levels[:-2], levels[1:-1], levels[2:]
        alone = (before == after) & (here != before) & (np.minimum(before, here) >= 0)
        found[1:-1][alone & ~known[1:-1]] = FLICKER_DOUBT
    return found


def worst_first(doubt: NDArray[np.float32]) -> list[int]:
    """The frames worth a look, the worst first, of those beside each other one only.

    Parameters
    ----------
    doubt : ndarray
        ``(T,)``, 0..1.
    """
    found: list[int] = []
    taken = np.zeros(len(doubt), np.bool_)
    for frame in np.argsort(-doubt, kind="stable"):
        if doubt[frame] < LEAST_DOUBT:
            break
        if not taken[frame]:
            found.append(int(frame))
            taken[max(0, frame - APART) : frame + APART + 1] = True
    return found


def next_worst(doubt: NDArray[np.float32], frame: int, *, back: bool = False) -> int | None:
    """The frame after `frame` in the order of `worst_first`, from the last to the first again.

    From a frame that is not in the order it is the worst one; None where no frame is worth a look.
    """
    order = worst_first(doubt)
    if not order:
        return None
    if frame not in order:
        return order[-1 if back else 0]
    return order[(order.index(frame) + (-1 if back else 1)) % len(order)]
