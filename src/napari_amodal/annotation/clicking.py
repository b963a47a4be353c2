"""A query mask from clicks or a box, without any network.

The window around the prompt is cut to superpixels and these to object and background
(`region_cut`). A click does not tell how large the object is: windows and beginnings of several
sizes are tried, and the mask is taken that most of the others agree with. Every further click
changes the mask so far, most where it was clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.annotation.region_cut import Chosen, RegionCut, logistic
from napari_amodal.annotation.superpixels import Integers, Superpixels
from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask
from napari_amodal.stages import Clicks

#: Sides of the windows that are tried around a click, as shares of the frame's longer side.
_WINDOWS = (0.09, 0.18, 0.32, 0.55, 0.95)
#: Shares of a window that the object is taken to fill, to begin with.
_FILLED = (0.1, 0.35)
#: Share of the frame that objects usually fill, and what each e-fold off that counts against the
#: agreement with the other masks.
_USUAL_SHARE, _OFF_USUAL = 0.05, 0.08
#: Most that the nearness to a click tells, in log-odds.
_NEARNESS = 1.0
#: Margins around a box and around a mask that is corrected, as shares of their longer side.
_BOX_MARGIN, _MASK_MARGIN = 0.35, 0.4
#: A mask that fills less of its box is no answer: what lies in the box is then taken for more
#: likely, in log-odds, step by step.
_LEAST_FILLED, _LIFTS = 0.1, (0.0, 1.0, 2.0, 3.5)
#: How much the mask so far counts, how much a click that contradicts it, in log-odds, and how far
#: that reaches (1: across the window, or over an edge of 30 Lab units).
_KEEP, _PULL, _REACH = 0.8, 8.0, 0.5
#: Side at which the masks of the trials are compared, in pixels.
_COMPARED = 128


class ClassicalPrompter:
    """`mask_from_clicks` as a prompter (`napari_amodal.stages.Prompter`); it needs nothing."""

    title: ClassVar[str] = "classical"
    rank: ClassVar[int] = 0

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def mask(self, frame: Frame, clicks: Clicks, begin: Mask | None = None) -> Mask:
        return mask_from_clicks(frame, clicks, begin)


def mask_from_clicks(frame: Frame, clicks: Clicks, begin: Mask | None = None) -> Mask:
    """The object that was clicked or boxed, bool ``(H, W)``.

    Parameters
    ----------
    frame : ndarray
        uint8 ``(H, W, 3)``, RGB.
    clicks : Clicks
        Points and a box in pixels of the frame.
    begin : ndarray, optional
        The mask before the last click, bool ``(H, W)``: it is corrected. Without it all is found
        anew, the box or the first point inside first, then corrected by each other point.
    """
    if begin is None:
        return _from_nothing(frame, clicks)
    return _corrected(frame, clicks, begin)


def _from_nothing(frame: Frame, clicks: Clicks) -> Mask:
    inside, outside = clicks.inside, clicks.outside
    if clicks.box is not None:
        mask = _boxed(frame, clicks.box)
        taken = 0
    else:
        mask = _clicked(frame, inside[0])
        taken = 1
    for count in range(taken, len(inside)):
        mask = _corrected(frame, Clicks(inside[: count + 1], (), clicks.box), mask)
    for count in range(len(outside)):
        mask = _corrected(frame, Clicks(inside, outside[: count + 1], clicks.box), mask)
    return mask


# -- a box ----------------------------------------------------------------------------------------


def _boxed(frame: Frame, asked: Box) -> Mask:
    height, width = frame.shape[:2]
    box = asked.clipped(height, width)
    if box is None:
        return np.zeros((height, width), np.bool_)
    window = box.padded(_margin(box, _BOX_MARGIN)).clipped(height, width)
    assert window is not None
    pieces = Superpixels.of(frame, window)
    inside = _in_box(pieces, box)
    off = (pieces.places - box.center) / (box.height / 2, box.width / 2)
    off = np.sqrt(np.sum(off**2, axis=1))  # 1 on the ellipse in the box
    guess = np.where(inside, np.clip(1.15 - 0.6 * off, 0.1, 0.9), 0.0)
    prior = np.clip(_NEARNESS * (0.75 - off), -1.2, 1.2)
    cut, none, beyond = RegionCut.of(pieces), np.zeros(0, np.intp), np.flatnonzero(~inside)
    chosen = np.zeros(len(pieces), np.bool_)
    for lift in _LIFTS:  # the colours may say that nothing is there; the box says that there is
        chosen = cut.solve(guess, prior + lift * inside, none, beyond)
        if pieces.areas[chosen].sum() >= _LEAST_FILLED * pieces.areas[inside].sum():
            break
    return _Found(pieces, chosen).mask(frame)


def _in_box(pieces: Superpixels, box: Box) -> Chosen:
    y, x = pieces.places.T
    return np.asarray((y >= box.y0) & (y < box.y1) & (x >= box.x0) & (x < box.x1), np.bool_)


def _margin(box: Box, share: float) -> int:
    return max(6, round(share * max(box.height, box.width)))


# -- the first click ------------------------------------------------------------------------------


def _clicked(frame: Frame, point: tuple[float, float]) -> Mask:
    height, width = frame.shape[:2]
    trials = [
        trial
        for window in _windows(point, height, width)
        for trial in _trials(frame, window, point)
    ]
    if not trials:
        return np.zeros((height, width), np.bool_)
    small = np.stack([trial.thumbnail(height, width) for trial in trials]).reshape(len(trials), -1)
    common = small.astype(np.float32) @ small.T.astype(np.float32)
    areas = np.diag(common)
    agreement = (common / np.maximum(areas[:, None] + areas - common, 1)).mean(axis=1)
    shares = np.maximum(small.mean(axis=1), 1e-4)
    off = np.abs(np.log(shares / _USUAL_SHARE))
    return trials[int(np.argmax(agreement - _OFF_USUAL * off))].mask(frame)


def _windows(point: tuple[float, float], height: int, width: int) -> list[Box]:
    (y, x), found = point, list[Box]()
    for share in _WINDOWS:
        half = max(share * max(height, width), 16) / 2
        sides = round(y - half), round(x - half), round(y + half) + 1, round(x + half) + 1
        window = Box(*sides).clipped(height, width)
        if window is not None and window not in found:
            found.append(window)
    return found


def _trials(frame: Frame, window: Box, point: tuple[float, float]) -> list[_Found]:
    pieces = Superpixels.of(frame, window)
    inside = pieces.at([point])
    if not len(inside):
        return []
    cut, far = RegionCut.of(pieces), pieces.distances(inside)
    is_frame = window.height == frame.shape[0] or window.width == frame.shape[1]
    outside = np.zeros(0, np.intp) if is_frame else np.setdiff1d(pieces.rim, inside)
    nearest = np.argsort(far)
    filled = np.cumsum(pieces.areas[nearest]) / pieces.areas.sum()
    found = []
    for share in _FILLED:
        reach = max(float(far[nearest[np.searchsorted(filled, share)]]), 1e-6)
        nearness = 1 - far / reach
        prior = np.clip(_NEARNESS * nearness, -1.5, 1.5)
        found.append(_Found(pieces, cut.solve(logistic(4 * nearness), prior, inside, outside)))
    return [trial for trial in found if trial.chosen.any()]


# -- further clicks -------------------------------------------------------------------------------


def _corrected(frame: Frame, clicks: Clicks, begin: Mask) -> Mask:
    """The mask so far, changed where clicks contradict it."""
    height, width = frame.shape[:2]
    window = _window_of(clicks, begin)
    inner = window.padded(_margin(window, _MASK_MARGIN)).clipped(height, width)
    if inner is None:
        return begin.copy()
    pieces = Superpixels.of(frame, inner)
    share = pieces.shares(begin)
    inside = pieces.at(_with_core(clicks, begin))
    outside = clicked = np.setdiff1d(pieces.at(clicks.outside), inside)
    pull = _pull(pieces, inside[share[inside] < 0.5], outside)
    pull -= _pull(pieces, outside[share[outside] >= 0.5], inside)
    prior = _KEEP * (2 * share - 1) + pull
    if clicks.box is not None:
        beyond = np.setdiff1d(np.flatnonzero(~_in_box(pieces, clicks.box)), inside)
        outside = np.union1d(outside, beyond)
    chosen = RegionCut.of(pieces).solve(logistic(2 * prior), prior, inside, outside)
    return _without_outside(_Found(pieces, chosen, clicked).mask(frame), clicks)


def _without_outside(mask: Mask, clicks: Clicks) -> Mask:
    """The mask without what is about a click outside that is still in it.

    Two clicks of both kinds may lie in one superpixel, which cannot be in and out: each takes what
    is nearer to it, as far as halfway to the nearest click inside.
    """
    height, width = mask.shape
    for y, x in clicks.outside:
        row, column = round(y), round(x)
        if not (0 <= row < height and 0 <= column < width and mask[row, column]):
            continue
        apart = [float(np.hypot(y - dy, x - dx)) for dy, dx in clicks.inside]
        disk = np.zeros((height, width), np.uint8)
        cv2.circle(disk, (column, row), max(1, int(min(apart, default=2.0) / 2)), 1, cv2.FILLED)
        mask = mask & (disk == 0)
    return mask


def _window_of(clicks: Clicks, begin: Mask) -> Box:
    boxes = [Box(int(y), int(x), int(y) + 1, int(x) + 1) for y, x in clicks.inside + clicks.outside]
    boxes += [box for box in (box_of(begin), clicks.box) if box is not None]
    whole = boxes[0]
    for box in boxes[1:]:
        whole = whole.union(box)
    return whole


def _with_core(clicks: Clicks, begin: Mask) -> Sequence[tuple[float, float]]:
    """The points inside; where there is none, the middle of the mask so far if none is near it."""
    if clicks.inside or not begin.any():
        return clicks.inside
    depth = cv2.distanceTransform(np.pad(begin, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    y, x = divmod(int(np.argmax(depth)), depth.shape[1])
    apart = [np.hypot(y - 1 - dy, x - 1 - dx) for dy, dx in clicks.outside]
    is_far = min(apart, default=np.inf) > 0.15 * np.sqrt(np.count_nonzero(begin))
    return [(y - 1, x - 1)] if is_far else ()


def _pull(pieces: Superpixels, start: Integers, others: Integers) -> NDArray[np.float64]:
    """What clicks say of what is near them, unless clicks of the other kind are nearer."""
    if not len(start):
        return np.zeros(len(pieces))
    far = pieces.distances(start)
    pull = _PULL * np.exp(-far / _REACH)
    if len(others):
        there = pieces.distances(others)
        pull *= np.clip(2 * (there - far) / (there + far + 1e-6), 0, 1)
    return np.asarray(pull, np.float64)


# -- from superpixels to pixels -------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Which superpixels of a window are the object's, and which were clicked as not its."""

    pieces: Superpixels
    chosen: Chosen
    outside: Integers = field(default_factory=lambda: np.zeros(0, np.intp))

    def thumbnail(self, height: int, width: int) -> Mask:
        """The mask of the frame, made small, for comparing."""
        scale = _COMPARED / max(height, width)
        small = np.zeros((round(height * scale) + 1, round(width * scale) + 1), np.bool_)
        window = self.pieces.window
        y0, x0 = int(window.y0 * scale), int(window.x0 * scale)
        y1 = max(y0 + 1, round(window.y1 * scale))
        x1 = max(x0 + 1, round(window.x1 * scale))
        inside = self.chosen[self.pieces.labels].astype(np.float32)
        shrunk = cv2.resize(inside, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        small[y0:y1, x0:x1] = np.asarray(shrunk) > 0.3
        return small

    def mask(self, frame: Frame) -> Mask:
        """The mask of the frame, bool ``(H, W)``, its outline drawn to the pixel."""
        window, inside = self.pieces.window, self.chosen[self.pieces.labels]
        inside = _outlined(self.pieces.picture, inside)
        inside &= ~np.isin(self.pieces.labels, self.outside)
        soft = cv2.resize(
            cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7),
            (window.width, window.height),
            interpolation=cv2.INTER_LINEAR,
        )
        mask = np.zeros(frame.shape[:2], np.bool_)
        mask[window.slices] = np.asarray(soft) > 0.5
        return mask


def _outlined(picture: NDArray[np.uint8], inside: Mask) -> Mask:
    """The mask with the pixels beside its outline chosen anew, by GrabCut."""
    kernel, own = np.ones((5, 5), np.uint8), inside.view(np.uint8)
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(own, kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate(own, kernel) == 0] = cv2.GC_BGD
    if not (labels == cv2.GC_FGD).any() or not (labels == cv2.GC_BGD).any():
        return inside
    cv2.setRNGSeed(0)  # it begins with a random clustering: the same clicks give the same mask
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(picture, labels, (0, 0, 1, 1), *models, 1, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels for its colour models
        return inside
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), np.bool_)
