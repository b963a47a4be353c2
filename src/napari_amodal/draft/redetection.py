"""Finding a lost object again anywhere in the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.draft.appearance import LAB_SPREAD, Template
from napari_amodal.draft.flow import Transform, scaling, translation
from napari_amodal.draft.view import View

#: Longest side of the object in the coarse picture that is searched, in pixels.
COARSE = 40.0
#: Longest side of the coarse picture, and how far around it reaches, in reaches.
LARGEST, FARTHEST = 160.0, 3.0
#: Sizes that are tried, as factors of the expected one.
SIZES = (0.64, 0.8, 1.0, 1.25)
#: Points of the template that are compared, at least and at most.
FEWEST_POINTS, POINTS = 12, 100


@dataclass(frozen=True)
class Find:
    """A place that looks like the object.

    Attributes
    ----------
    pose : ndarray
        Pose that the template would have there.
    likeness : float
        0..1.
    """

    pose: Transform
    likeness: float


def search(view: View, template: Template, reach: float) -> Find | None:
    """The place in the frame that looks most like a template.

    Parameters
    ----------
    reach : float
        Distance from the template's pose, in pixels, at which a place loses likeness by 1 / e.
    """
    region = template.box().padded(round(FARTHEST * reach)).clipped(*view.size)
    if region is None:
        return None
    finds = [_search_size(view, template, size, reach, region) for size in SIZES]
    return max((find for find in finds if find), key=lambda find: find.likeness, default=None)


def _search_size(
    view: View, template: Template, size: float, reach: float, region: Box
) -> Find | None:
    longest = max(region.height, region.width)
    factor = min(1.0, COARSE / max(template.length, 1.0), LARGEST / longest)
    box = template.box()
    height, width = (max(1, round(side * factor)) for side in (region.height, region.width))
    shape = max(1, round(box.width * factor * size)), max(1, round(box.height * factor * size))
    if shape[0] > width or shape[1] > height:
        return None
    seen = view.lab[region.slices]
    picture = _features(cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA))
    laid = template.moved(template.lab, box)
    laid_mask = template.moved(template.mask, box)
    small = _features(cv2.resize(laid, shape, interpolation=cv2.INTER_AREA))
    mask = cv2.resize(laid_mask, shape, interpolation=cv2.INTER_AREA)
    inside = np.asarray(mask > 0.5)
    if inside.sum() < FEWEST_POINTS:
        return None
    likeness = _likeness(picture, small, inside)
    ys, xs = np.mgrid[: likeness.shape[0], : likeness.shape[1]]
    # Places are told by the template's middle, so that the sizes can be compared.
    y, x = box.center
    middle_x = region.x0 + (xs + shape[0] / 2) * region.width / width
    middle_y = region.y0 + (ys + shape[1] / 2) * region.height / height
    likeness = likeness * np.exp(-np.hypot(middle_x - x, middle_y - y) / reach)
    best = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
    if likeness[best] <= 0:
        return None
    shift = translation(middle_x[best] - x, middle_y[best] - y)
    return Find(shift @ scaling(size, x, y) @ template.pose, float(likeness[best]))


def _features(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Lab in standard deviations and the slope of lightness, blurred to forgive a pixel's shift.

    The slope is divided by its mean size around, so that weak edges tell as much as strong ones.
    """
    soft = cv2.GaussianBlur(picture / LAB_SPREAD, (0, 0), 1.0)
    slope = np.dstack([cv2.Scharr(soft[..., 0], -1, 1, 0), cv2.Scharr(soft[..., 0], -1, 0, 1)])
    size = cv2.GaussianBlur(np.hypot(slope[..., 0], slope[..., 1]), (0, 0), 3.0) + 2.0
    return np.dstack([soft, 1.5 * slope / size[..., np.newaxis]]).astype(np.float32)


def _likeness(
    picture: NDArray[np.float32], template: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Share of the template's points that match with its corner at each place.

    A point that differs a lot counts no worse than one that differs more, so that a part of the
    object that is hidden or has moved does not spoil the rest. Points count by how much they tell:
    minus the logarithm of their mean match over the whole frame.
    """
    ys, xs = np.nonzero(mask)
    chosen = np.linspace(0, len(ys) - 1, min(POINTS, len(ys))).astype(int)
    height = picture.shape[0] - template.shape[0] + 1
    width = picture.shape[1] - template.shape[1] + 1
    matches, total = np.zeros((height, width), np.float32), 0.0
    for y, x in zip(ys[chosen], xs[chosen], strict=True):
        difference = picture[y : y + height, x : x + width] - template[y, x]
        match = np.exp(-0.5 * np.einsum("yxc,yxc->yx", difference, difference))
        tells = -np.log(float(match.mean()) + 0.01)
        matches += tells * match
        total += tells
    return np.asarray(matches / total, np.float32)
