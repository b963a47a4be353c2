"""What is nearer than an object in one depth map.

A depth map of one image has an unknown scale and shift, so depths are compared within a frame only.
All lengths that depend on resolution are given in working pixels, whose frames have a longest side
of `LONGEST_SIDE` at most: this bounds the cost for any clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.masks import Mask

DepthMap = NDArray[np.uint8]

#: Depth is compared in maps of at most this side, in pixels.
LONGEST_SIDE = 640
#: What is nearer is nearer by more than this, of 255 (TABE; reference page, section 3).
LEAST_STEP = 3.0
#: And by this many standard deviations of the map's noise.
_NOISE_STEPS = 3.0
#: Depth within this many pixels of the object's outline may be its neighbour's.
_OUTLINE = 2
#: The object's depth at a point is the mean over a window of this share of its size.
_LOCAL = 0.5
#: Slopes over fewer pixels than this are not believed.
_SOFT = 4.0
#: Smaller patches are noise, as a share of the object's area, and in pixels.
_SPECK_SHARE = 0.001
_SPECK = 6


@dataclass(frozen=True)
class DepthView:
    """A depth map at working size.

    Attributes
    ----------
    depth : ndarray
        float32 ``(h, w)``, larger is nearer.
    noise : float
        Standard deviation of what is left of its noise, in units of depth.
    scale : float
        Working pixels a pixel of the frame.
    """

    depth: NDArray[np.float32]
    noise: float
    scale: float


def depth_view(depth: DepthMap) -> DepthView:
    """Shrink a depth map to working size, and take single outliers from it (3 x 3 median)."""
    height, width = depth.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    smooth = cv2.medianBlur(np.ascontiguousarray(depth), 3)
    # what the median takes away is noise, except on the few pixels where depth has detail
    rough = np.abs(depth[::2, ::2].astype(np.int16) - smooth[::2, ::2])
    noise = 1.4826 * float(np.median(rough))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        smooth = cv2.resize(smooth, size, interpolation=cv2.INTER_NEAREST)
    return DepthView(np.asarray(smooth, np.float32), noise, scale)


def working_mask(mask: Mask, view: DepthView) -> Mask:
    """A mask of the frame at the working size of a depth map."""
    height, width = view.depth.shape
    if mask.shape == (height, width):
        return mask
    small = cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small > 0, np.bool_)


def inner_part(seen: Mask) -> Mask:
    """The object without its outline, whose depth may be its neighbour's; a sliver has none."""
    element = np.ones((2 * _OUTLINE + 1,) * 2, np.uint8)
    return np.asarray(cv2.erode(seen.view(np.uint8), element, borderValue=1) > 0, np.bool_)


def nearer_than_object(view: DepthView, seen: Mask, around: Box) -> Mask:
    """Pixels nearer than the parts of the object next to them.

    Parameters
    ----------
    view : DepthView
    seen : ndarray
        The visible mask, bool ``(h, w)`` at working size, not empty.
    around : Box
        Where to look, inside the map.

    Returns
    -------
    ndarray
        Bool, of the size of `around`; never set on the object.
    """
    depth, part = view.depth[around.slices], seen[around.slices]
    inner = inner_part(part)
    if not inner.any():
        inner = part
    plane = _plane(depth, inner)
    size = float(np.sqrt(np.count_nonzero(part)))
    reference = plane + _local_mean(depth - plane, inner.astype(np.float32), _LOCAL * size)
    return _without_specks((depth > reference + _step(view)) & ~part, part)


def nearer_than(view: DepthView, value: float, around: Box) -> Mask:
    """Pixels of a part of the map that are nearer than a depth, for an object that is not seen."""
    return np.asarray(view.depth[around.slices] > value + _step(view), np.bool_)


def _step(view: DepthView) -> float:
    return LEAST_STEP + _NOISE_STEPS * view.noise


def _plane(depth: NDArray[np.float32], inner: Mask) -> NDArray[np.float32]:
    """The plane through the object's depths, kept within their range.

    The inverse depth of a plane is linear in the image, whatever the scale and shift.
    """
    rows, columns = np.nonzero(inner)
    values = depth[inner]
    places = np.stack([rows, columns], axis=1).astype(np.float32)
    middle = places.mean(axis=0)
    spread = (places - middle).T @ (places - middle) / len(places) + _SOFT**2 * np.eye(2)
    slopes = np.linalg.solve(spread, (places - middle).T @ (values - values.mean()) / len(places))
    y = np.arange(depth.shape[0], dtype=np.float32) - middle[0]
    x = np.arange(depth.shape[1], dtype=np.float32) - middle[1]
    plane = values.mean() + slopes[0] * y[:, None] + slopes[1] * x
    return np.asarray(plane.clip(*np.percentile(values, (2, 98))), np.float32)


def _local_mean(
    depth: NDArray[np.float32], weight: NDArray[np.float32], side: float
) -> NDArray[np.float32]:
    """Mean of the weighted depth around each pixel; far from any, of all."""
    shrink = max(1.0, side / 8)
    size = (max(1, round(depth.shape[1] / shrink)), max(1, round(depth.shape[0] / shrink)))
    total = cv2.resize(depth * weight, size, interpolation=cv2.INTER_AREA)
    count = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    sigma = side / shrink / 2
    total, count = (cv2.GaussianBlur(layer, (0, 0), max(sigma, 0.5)) for layer in (total, count))
    overall = float((depth * weight).sum() / weight.sum())
    faint = np.float32(1e-4)
    mean = (total + faint * overall) / (count + faint)
    full = cv2.resize(mean, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def _without_specks(nearer: Mask, seen: Mask) -> Mask:
    least = max(_SPECK, _SPECK_SHARE * np.count_nonzero(seen))
    _, labels, figures, _ = cv2.connectedComponentsWithStats(nearer.view(np.uint8))
    kept = figures[:, cv2.CC_STAT_AREA] >= least
    kept[0] = False
    return np.asarray(kept[labels], np.bool_)
