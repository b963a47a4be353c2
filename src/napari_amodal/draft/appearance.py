"""What the object looks like against what is around it: colours, and templates of its texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of
from napari_amodal.draft.flow import (
    Fitting,
    Transform,
    dense_flow,
    translation,
    warp_by_flow,
)
from napari_amodal.draft.view import View

Float = NDArray[np.float32]

#: Difference in L, a and b that counts as one standard deviation: lightness changes more with
#: shadows and exposure than colour does.
LAB_SPREAD = np.array([14.0, 7.0, 7.0], np.float32)
#: Bins of the colour histograms in L, a and b, and the range that they span.
BINS = (16, 24, 24)
LOW = np.array([0.0, -60.0, -60.0], np.float32)
HIGH = np.array([100.0, 60.0, 60.0], np.float32)


def _bin_index(lab: Float) -> NDArray[np.int64]:
    bins = np.array(BINS, np.float32)
    index = ((lab - LOW) * (bins / (HIGH - LOW))).astype(np.int64)
    index = np.clip(index, 0, np.array(BINS) - 1)
    return np.asarray((index[..., 0] * BINS[1] + index[..., 1]) * BINS[2] + index[..., 2])


def _histogram(lab: Float, weight: Float) -> Float:
    counts = np.bincount(
        _bin_index(lab).ravel(), weight.ravel().astype(np.float64), minlength=int(np.prod(BINS))
    )
    smooth = counts.reshape(BINS).astype(np.float32)
    for axis in range(3):
        smooth = 0.5 * smooth + 0.25 * (np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis))
    return np.asarray(smooth.ravel() / max(float(smooth.sum()), 1.0), np.float32)


class ColourModel:
    """Colour histograms of the object and of what surrounds or hides it.

    Both are running means; the surroundings forget faster, for an occluder is seen beside the
    object a few frames before it hides it.
    """

    OBJECT_RATE = 0.05
    AROUND_RATE = 0.25

    def __init__(self, lab: Float, inside: Float, around: Float) -> None:
        self._object = _histogram(lab, inside)
        self._around = _histogram(lab, around)

    def learn(self, lab: Float, inside: Float | None, around: Float) -> None:
        """Move the models towards a frame; `inside` is None where the object is not certain."""
        if inside is not None:
            self._object += self.OBJECT_RATE * (_histogram(lab, inside) - self._object)
        self._around += self.AROUND_RATE * (_histogram(lab, around) - self._around)

    def log_odds(self, lab: Float) -> Float:
        """Log-odds ``(h, w)`` that a colour is the object's, -3..3."""
        index = _bin_index(lab)
        odds = np.log((self._object + 2e-5) / (self._around + 2e-5))
        return np.asarray(cv2.blur(np.clip(odds[index], -3, 3), (3, 3)), np.float32)


@dataclass
class Template:
    """The object as it looked on one frame, and where that picture lies now.

    Attributes
    ----------
    lab, grey : ndarray
        The picture around the object, float32 ``(n, m, 3)`` and uint8 ``(n, m)``.
    mask : ndarray
        float32 ``(n, m)``: the object in it.
    pose : ndarray
        Takes template pixels to pixels of the current frame.
    """

    lab: Float
    grey: NDArray[np.uint8]
    mask: Float
    pose: Transform

    @classmethod
    def cut(cls, view: View, chance: Float) -> Template | None:
        """Take a template from a frame, or None where nothing of the object is seen."""
        box = box_of(chance > 0.5)
        if box is None:
            return None
        box = box.padded(4 + max(box.height, box.width) // 8).clipped(*view.size)
        assert box is not None
        return cls(
            view.lab[box.slices].copy(),
            view.grey[box.slices].copy(),
            chance[box.slices].copy(),
            translation(box.x0, box.y0),
        )

    @property
    def length(self) -> float:
        """Longest side of the object as it lies in the current frame, in pixels."""
        rows, columns = (self.mask > 0.5).any(axis=1), (self.mask > 0.5).any(axis=0)
        return float(max(rows.sum(), columns.sum()) * np.hypot(*self.pose[:2, 0]))

    @property
    def centre(self) -> tuple[float, float]:
        """The mask's centre ``(x, y)`` in the current frame."""
        ys, xs = np.nonzero(self.mask > 0.5)
        x, y, _ = self.pose @ (xs.mean(), ys.mean(), 1.0)
        return float(x), float(y)

    @property
    def area(self) -> float:
        """Pixels of the whole object at the current pose, those beyond the frame included."""
        return float(self.mask.sum() * np.linalg.det(self.pose[:2, :2]))

    def box(self) -> Box:
        """Where the object lies in the current frame; may reach beyond it."""
        inner = box_of(self.mask > 0.5)
        assert inner is not None
        corners = np.array(
            [(x, y, 1.0) for x in (inner.x0, inner.x1) for y in (inner.y0, inner.y1)]
        )
        xs, ys, _ = self.pose @ corners.T
        x0, y0 = int(np.floor(xs.min())), int(np.floor(ys.min()))
        return Box(y0, x0, max(int(np.ceil(ys.max())), y0 + 1), max(int(np.ceil(xs.max())), x0 + 1))

    def moved(self, image: NDArray[Any], box: Box) -> Float:
        """A picture of the template as it lies inside a box of the current frame."""
        matrix = translation(-box.x0, -box.y0) @ self.pose
        return np.asarray(
            cv2.warpAffine(image, matrix[:2], (box.width, box.height), flags=cv2.INTER_LINEAR),
            np.float32,
        )


@dataclass(frozen=True)
class Vote:
    """What one remembered frame says of each pixel: object or not, and how sure it is.

    Attributes
    ----------
    label, weight : ndarray
        float32 ``(h, w)``, 0..1.
    """

    label: Float
    weight: Float


def mismatch(first: Float, second: Float) -> Float:
    """Difference of two Lab pictures in standard deviations, squared, over a small window."""
    difference = (first - second) / LAB_SPREAD
    return np.asarray(cv2.blur(np.sum(difference * difference, axis=2), (5, 5)), np.float32)


def template_vote(
    template: Template,
    view: View,
    box: Box,
    seen: NDArray[np.bool_],
    slack: float,
    fitting: Fitting | None,
) -> Vote:
    """Lay a template over the frame, let it deform a little, and compare it pixel by pixel.

    The template's pose is corrected by what the seen part of the object shows.

    Parameters
    ----------
    box : Box
        The part of the frame to look at, inside it.
    seen : ndarray
        bool ``(h, w)`` of the box: where the object is expected to be visible.
    slack : float
        How far it may deform, in lengths of the object.
    fitting : callable or None
        How its pose is corrected; None: it is not.
    """
    grey = view.grey[box.slices]
    laid = template.moved(template.grey, box).astype(np.uint8)
    bend = dense_flow(grey, laid)
    label = warp_by_flow(template.moved(template.mask, box), bend)
    there = warp_by_flow(template.moved(np.ones_like(template.mask), box), bend)
    texture = warp_by_flow(template.moved(template.lab, box), bend)
    stiffness = max(2.0, slack * template.length)
    weight = np.exp(
        -0.5 * mismatch(texture, view.lab[box.slices])
        - 0.5 * np.sum(bend * bend, axis=2) / stiffness**2
    )
    weight = np.asarray(weight * (there > 0.95), np.float32)
    matched = seen & (label > 0.5) & (weight > 0.4)
    fit = fitting(bend, matched, stiffness / 2) if fitting else None
    if fit is not None and fit.share > 0.5:
        corner = translation(box.x0, box.y0)
        template.pose = corner @ fit.motion @ np.linalg.inv(corner) @ template.pose
    return Vote(label, weight)
