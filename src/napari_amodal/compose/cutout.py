"""Cutting an occluder out of its frame: how opaque each pixel is, and its own colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_amodal.clip import Frame
from napari_amodal.masks import Mask

Floats = NDArray[np.float32]

#: From this opacity on a pixel's colour counts as the occluder's own.
_OWN_FROM = 0.98


@dataclass(frozen=True)
class Cutout:
    """An occluder without its background.

    Attributes
    ----------
    alpha : ndarray
        float32 ``(H, W)``, 0..1: its share of each pixel.
    color : ndarray
        float32 ``(H, W, 3)``, 0..255 RGB, times `alpha`.
    """

    alpha: Floats
    color: Floats


def soft_alpha(mask: Mask, softness: float) -> Floats:
    """Opacity with an edge that fades over about `softness` pixels on both sides, 0.5 on the edge.

    A straight edge keeps its place: exactly the mask's pixels are above one half there.
    """
    hard = mask.astype(np.float32)
    if softness <= 0:
        return hard
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), softness / 2), np.float32)


def cut_out(frame: Frame, alpha: Floats, plate: Frame | None = None) -> Cutout:
    """Free an occluder's colour from its own background.

    With a clean plate R, the frame's background without the occluder, a pixel of the frame is
    ``I = a F + (1 - a) R``, so that ``a F = I - (1 - a) R``, held within what a colour can be.
    Without one, a pixel of the edge takes the colour of the nearest pixel well inside.
    """
    picture = frame.astype(np.float32)
    share = alpha[..., np.newaxis]
    if plate is not None:
        freed = picture - (1 - share) * plate.astype(np.float32)
        return Cutout(alpha, np.clip(freed, 0, 255 * share))
    own = alpha >= _OWN_FROM
    if own.any() and not own.all():
        nearest: Any = ndimage.distance_transform_edt  # type: ignore[attr-defined]
        rows, columns = nearest(~own, return_distances=False, return_indices=True)
        edge = (alpha > 0) & ~own
        picture[edge] = picture[rows[edge], columns[edge]]
    return Cutout(alpha, picture * share)


def placed(
    cutout: Cutout, scale: float, move: tuple[float, float], size: tuple[int, int]
) -> Cutout:
    """A cut-out in a frame of another size.

    Parameters
    ----------
    cutout : Cutout
    scale : float
        About the middle of its own frame.
    move : tuple of float
        ``(y, x)``: where the middle of its frame goes, from the middle of the new frame, in pixels.
    size : tuple of int
        ``(height, width)`` of the new frame.
    """
    height, width = cutout.alpha.shape
    if scale == 1 and move == (0.0, 0.0) and size == (height, width):
        return cutout
    matrix = np.array(
        [
            [scale, 0, (size[1] - 1) / 2 + move[1] - scale * (width - 1) / 2],
            [0, scale, (size[0] - 1) / 2 + move[0] - scale * (height - 1) / 2],
        ]
    )
    layers: Any = np.dstack([cutout.color, cutout.alpha])
    if scale < 0.7:  # a warp alone would skip pixels
        layers = cv2.GaussianBlur(layers, (0, 0), 0.4 / scale)
    warped = cv2.warpAffine(layers, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    alpha = np.asarray(np.clip(warped[..., 3], 0, 1), np.float32)
    return Cutout(alpha, np.ascontiguousarray(warped[..., :3]))
