"""Cutting an occluder out of its frame: how opaque each pixel is, and its own colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_amodal.boxes import Box
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask

Floats = NDArray[np.float32]

#: From this opacity on a pixel's colour counts as the occluder's own.
_OWN_FROM = 0.98

#: Less softness than this, in pixels, changes no pixel's opacity in 8 bits.
_SHARP_BELOW = 0.25

#: Below this scale a warp alone would skip pixels.
_ALIASES_BELOW = 0.7


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
    if softness < _SHARP_BELOW:
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


@dataclass(frozen=True)
class Place:
    """Where a part of an occluder's frame goes.

    Attributes
    ----------
    part : Box
        The part, in its own frame.
    whole : tuple of int
        ``(height, width)`` of its own frame.
    scale : float
        About the middle of its own frame.
    move : tuple of float
        ``(y, x)``: where the middle of its frame goes, from the middle of the new frame, in pixels.
    """

    part: Box
    whole: tuple[int, int]
    scale: float
    move: tuple[float, float]

    def offset(self, axis: int, size: int) -> float:
        """The place of the part's first pixel in a new frame of `size` pixels on an axis."""
        start = (self.part.y0, self.part.x0)[axis]
        from_middle = start - (self.whole[axis] - 1) / 2
        return (size - 1) / 2 + self.move[axis] + self.scale * from_middle


def placed(cutout: Cutout, place: Place, size: tuple[int, int]) -> Cutout:
    """A cut-out of a part as it lies in a new frame of ``(height, width)`` `size`."""
    scale = place.scale
    matrix = np.array(
        [[scale, 0, place.offset(1, size[1])], [0, scale, place.offset(0, size[0])]], np.float64
    )
    layers: Any = np.dstack([cutout.color, cutout.alpha])
    if scale < _ALIASES_BELOW:
        layers = cv2.GaussianBlur(layers, (0, 0), 0.4 / scale)
    warped = cv2.warpAffine(layers, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    alpha = np.asarray(np.clip(warped[..., 3], 0, 1), np.float32)
    return Cutout(alpha, np.ascontiguousarray(warped[..., :3]))
