"""Where around its visible part an object may lie, before anything is known of its hidden part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.draft.motion import Transform

#: Frames within which the largest visible box tells the object's size.
_SIZE_WITHIN = 61
#: Margin on each side, as a share of the object's size, and what each unseen frame adds to it.
_MARGIN = 0.2
_MARGIN_UNSEEN = 0.5
_LARGEST_MARGIN = 1.0


def search_regions(
    boxes: Sequence[Box | None], camera: Sequence[Transform]
) -> tuple[Box | None, ...]:
    """A box for each frame that holds the whole object with some certainty.

    Parameters
    ----------
    boxes : sequence of Box or None
        The visible boxes.
    camera : sequence of ndarray
        `ClipMotion.camera`.

    Returns
    -------
    tuple of Box or None
        Boxes that may reach beyond the frame; None where the object is never visible at all.
    """
    sizes = np.array([(box.height, box.width) if box else (0, 0) for box in boxes], float)
    sizes = _largest_near(sizes)
    before = _carried(boxes, camera, backwards=False)
    after = _carried(boxes, camera, backwards=True)
    regions: list[Box | None] = []
    for first, second, (height, width) in zip(before, after, sizes, strict=True):
        near = [sides for sides, _ in filter(None, (first, second))]
        if not near:
            regions.append(None)
            continue
        unseen = min(count for _, count in filter(None, (first, second)))
        y0, x0 = np.min(near, axis=0)[:2]
        y1, x1 = np.max(near, axis=0)[2:]
        margin = min(_LARGEST_MARGIN, _MARGIN + _MARGIN_UNSEEN * unseen)
        dy = margin * height + max(0.0, height - (y1 - y0))
        dx = margin * width + max(0.0, width - (x1 - x0))
        regions.append(Box(int(y0 - dy), int(x0 - dx), int(np.ceil(y1 + dy)), int(x1 + dx) + 1))
    return tuple(regions)


def _largest_near(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running maximum of ``(T, 2)`` over `_SIZE_WITHIN` frames around each."""
    half = _SIZE_WITHIN // 2
    padded = np.pad(sizes, ((half, half), (0, 0)), mode="edge")
    return np.asarray(sliding_window_view(padded, _SIZE_WITHIN, axis=0).max(axis=-1), np.float64)


def _carried(
    boxes: Sequence[Box | None], camera: Sequence[Transform], *, backwards: bool
) -> list[tuple[NDArray[np.float64], int] | None]:
    """For each frame the last box that was seen, moved as the background, and how long ago."""
    count = len(boxes)
    found: list[tuple[NDArray[np.float64], int] | None] = [None] * count
    last: tuple[NDArray[np.float64], int] | None = None
    for frame in reversed(range(count)) if backwards else range(count):
        box = boxes[frame]
        if box is not None:
            last = np.array([box.y0, box.x0, box.y1, box.x1], float), 0
        elif last is not None:
            step = camera[frame] if backwards else camera[frame - 1]
            step = np.asarray(np.linalg.inv(step) if backwards else step, np.float64)
            last = _moved(last[0], step), last[1] + 1
        found[frame] = last
    return found


def _moved(sides: NDArray[np.float64], step: Transform) -> NDArray[np.float64]:
    y, x = (sides[:2] + sides[2:]) / 2
    there = step @ np.array([x, y, 1.0])
    dx, dy = there[:2] / there[2] - (x, y)
    return np.asarray(sides + np.array([dy, dx, dy, dx]), np.float64)
