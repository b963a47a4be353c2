"""Changing the shape of one mask: move, scale, turn, fill, smooth, drop specks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of
from napari_amodal.masks import Mask

Transform = NDArray[np.float64]


def containing(amodal: Mask, visible: Mask) -> Mask:
    """The amodal mask with the visible one in it, bool ``(H, W)``."""
    return amodal | visible


def transformed(mask: Mask, transform: Transform) -> Mask:
    """A mask ``(H, W)`` moved by a transform; what leaves the frame is cut off.

    Parameters
    ----------
    mask : ndarray
    transform : ndarray
        float64 ``(3, 3)`` on ``(x, y, 1)`` in pixels, pixel centres at whole numbers.
    """
    box = box_of(mask)
    if box is None:
        return mask.copy()
    into = _box_after(box, transform).clipped(*mask.shape)
    moved = np.zeros_like(mask)
    if into is None:
        return moved
    # only what lies in the boxes: a mask is small beside its frame
    own = np.asarray([[1, 0, box.x0], [0, 1, box.y0], [0, 0, 1]], np.float64)
    back = np.asarray([[1, 0, -into.x0], [0, 1, -into.y0], [0, 0, 1]], np.float64)
    soft = cv2.warpPerspective(
        mask[box.slices].astype(np.float32),
        back @ transform @ own,
        (into.width, into.height),
        flags=cv2.INTER_LINEAR,
    )
    moved[into.slices] = np.asarray(soft) >= 0.5
    return moved


def _box_after(box: Box, transform: Transform) -> Box:
    x, y = (box.x0 - 1, box.x1), (box.y0 - 1, box.y1)
    corners = np.array([[x[i], y[j], 1] for i in (0, 1) for j in (0, 1)], np.float64)
    there = transform @ corners.T
    there = np.clip(there[:2] / there[2], -1e6, 1e6)
    (x0, y0), (x1, y1) = np.floor(there.min(axis=1)), np.ceil(there.max(axis=1))
    return Box(int(y0), int(x0), int(y1) + 1, int(x1) + 1)


def similarity_about(
    centre: tuple[float, float],
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    degrees: float = 0.0,
) -> Transform:
    """Scale and turn about a point, then shift; points and shifts are ``(y, x)`` in pixels.

    A positive angle turns anticlockwise, as seen.
    """
    (y, x), angle = centre, np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    there = np.array([[1, 0, x + shift[1]], [0, 1, y + shift[0]], [0, 0, 1]], np.float64)
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]], np.float64)
    return np.asarray(there @ turn @ back, np.float64)


def centre_of(mask: Mask) -> tuple[float, float]:
    """The centre of gravity of a mask that is not empty, ``(y, x)``."""
    box = box_of(mask)
    if box is None:
        raise ValueError("an empty mask has no centre")
    rows, columns = np.nonzero(mask[box.slices])
    return float(rows.mean()) + box.y0, float(columns.mean()) + box.x0


def with_holes_filled(mask: Mask, largest: int | None = None) -> Mask:
    """A mask without its holes: background that the mask encloses within the frame.

    Parameters
    ----------
    mask : ndarray
        Bool ``(H, W)``.
    largest : int, optional
        Holes of more pixels stay; without it none does.
    """
    box = box_of(mask)
    if box is None:
        return mask.copy()
    inside = mask[box.slices]
    # four neighbours: background does not leak through the corners of an outline
    beyond = np.pad(~inside, 1, constant_values=True).view(np.uint8)
    _, parts = cv2.connectedComponents(beyond, connectivity=4)
    outside = np.asarray(parts)[1:-1, 1:-1] == parts[0, 0]
    holes = ~inside & ~outside
    if largest is not None:
        holes = holes & ~_without_small(holes, largest + 1)
    filled = mask.copy()
    filled[box.slices] |= holes
    return filled


def without_specks(mask: Mask, smallest: int) -> Mask:
    """A mask without connected parts (8 neighbours) of less than `smallest` pixels.

    The largest part always stays.
    """
    box = box_of(mask)
    if box is None:
        return mask.copy()
    cleaned = np.zeros_like(mask)
    cleaned[box.slices] = _without_small(mask[box.slices], smallest, keep_largest=True)
    return cleaned


def _without_small(mask: Mask, smallest: int, *, keep_largest: bool = False) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), None, None, None, 8
    )
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= smallest
    if keep_largest and count > 1:
        kept[1 + int(np.argmax(areas[1:]))] = True
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)


def smoothed(mask: Mask, radius: float) -> Mask:
    """A mask with an outline without details below `radius` pixels; its area stays about the same.

    The mask is blurred with a Gaussian of that standard deviation and cut at one half. At the
    frame's border it is taken to go on outside as it is there.
    """
    box = box_of(mask)
    if box is None or radius <= 0:
        return mask.copy()
    around = box.padded(int(np.ceil(3 * radius)) + 1).clipped(*mask.shape)
    assert around is not None
    soft = cv2.GaussianBlur(
        mask[around.slices].astype(np.float32), (0, 0), radius, borderType=cv2.BORDER_REPLICATE
    )
    smooth = np.zeros_like(mask)
    smooth[around.slices] = np.asarray(soft) >= 0.5
    return smooth
