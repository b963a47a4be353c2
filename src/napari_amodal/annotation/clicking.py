"""A query mask from clicks or a box, without any network: GrabCut, told where to look.

GrabCut (Rother et al., SIGGRAPH 2004) learns the colours inside and outside a region and cuts along
edges. It needs to know the region; a click does not tell how large the object is. So windows of
several sizes around the clicks are tried, and the cut with the clearest outline is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.annotation.shape_tools import with_holes_filled
from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask
from napari_amodal.stages import Clicks

#: Longest side, in pixels, on which windows are tried, and on which the chosen one is cut.
_TRIAL_SIDE, _FINAL_SIDE = 160, 320
_TRIAL_ROUNDS, _FINAL_ROUNDS = 3, 4
#: Sides of the windows that are tried, as shares of the frame's longer side.
_WINDOWS = (0.24, 0.4, 0.65)
#: Margin around a box, as a share of its longer side: the colours there are the background's.
_MARGIN = 0.25
#: Radius of what a click stands for, as a share of the window's side.
_CLICK_RADIUS = 0.025
#: Parts that no click is on are kept from this share of the largest part on.
_LEAST_PART = 0.1


def mask_from_clicks(frame: Frame, clicks: Clicks) -> Mask:
    """The object that was clicked or boxed, bool ``(H, W)``.

    Parameters
    ----------
    frame : ndarray
        uint8 ``(H, W, 3)``, RGB.
    clicks : Clicks
        Points and a box in pixels of the frame.
    """
    height, width = frame.shape[:2]
    box = clicks.box.clipped(height, width) if clicks.box is not None else None
    if clicks.box is not None:
        return _Cut.of(frame, clicks, box).mask if box else np.zeros((height, width), np.bool_)
    trials = [
        _Cut.of(frame, clicks, window, _TRIAL_SIDE, _TRIAL_ROUNDS)
        for window in _windows(clicks, height, width)
    ]
    best = max(trials, key=lambda trial: trial.clearness)
    found = box_of(best.mask)
    if found is None:
        return best.mask
    around = found.padded(2 + max(found.height, found.width) // 12).clipped(height, width)
    assert around is not None
    return _Cut.of(frame, clicks, around, begin=best.mask).mask


def _windows(clicks: Clicks, height: int, width: int) -> list[Box]:
    """Squares around the points inside, of several sizes."""
    points = np.array(clicks.inside)
    (y, x), spread = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0).max()
    found = []
    for share in _WINDOWS:
        half = max(share * max(height, width), 1.3 * spread + 8) / 2
        sides = round(y - half), round(x - half), round(y + half) + 1, round(x + half) + 1
        window = Box(*sides).clipped(height, width)
        if window is not None and window not in found:
            found.append(window)
    return found or [Box(0, 0, height, width)]


@dataclass(frozen=True)
class _Cut:
    """What was cut out of a window.

    Attributes
    ----------
    mask : ndarray
        Bool ``(H, W)``.
    clearness : float
        How much the outline looks like an edge of the picture.
    """

    mask: Mask
    clearness: float

    @classmethod
    def of(
        cls,
        frame: Frame,
        clicks: Clicks,
        box: Box,
        side: int = _FINAL_SIDE,
        rounds: int = _FINAL_ROUNDS,
        begin: Mask | None = None,
    ) -> _Cut:
        """Cut the object out of a box that holds it, beginning with a mask where there is one."""
        height, width = frame.shape[:2]
        margin = max(4, round(_MARGIN * max(box.height, box.width)))
        crop = box.padded(margin).clipped(height, width)
        assert crop is not None
        scale = min(1.0, side / max(crop.height, crop.width))
        size = (max(2, round(crop.width * scale)), max(2, round(crop.height * scale)))
        image = cv2.resize(frame[crop.slices], size, interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 0.6), cv2.COLOR_RGB2LAB)
        first = None if begin is None else begin[crop.slices]
        labels = _labels(clicks, box, crop, size, first)
        inside = _grab_cut(np.asarray(image, np.uint8), labels, rounds)
        inside = _parts(inside, labels)
        soft = cv2.resize(
            cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7),
            (crop.width, crop.height),
            interpolation=cv2.INTER_LINEAR,
        )
        mask = np.zeros((height, width), np.bool_)
        mask[crop.slices] = np.asarray(soft) > 0.5
        return cls(mask, _clearness(np.asarray(image, np.uint8), inside))


def _labels(
    clicks: Clicks, box: Box, crop: Box, size: tuple[int, int], begin: Mask | None
) -> NDArray[np.uint8]:
    """What GrabCut is told of each pixel of the crop at working size."""
    width, height = size
    scale = np.array([height / crop.height, width / crop.width])
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    y0, x0 = np.floor((np.array([box.y0, box.x0]) - (crop.y0, crop.x0)) * scale).astype(int)
    y1, x1 = np.ceil((np.array([box.y1, box.x1]) - (crop.y0, crop.x0)) * scale).astype(int)
    labels[y0:y1, x0:x1] = cv2.GC_PR_FGD if begin is None else cv2.GC_PR_BGD
    if begin is not None:
        small = cv2.resize(begin.view(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
        labels[small & (labels == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    radius = max(1, round(_CLICK_RADIUS * max(size)))
    for points, label in ((clicks.inside, cv2.GC_FGD), (clicks.outside, cv2.GC_BGD)):
        for point in points:
            y, x = np.floor((np.array(point) - (crop.y0, crop.x0)) * scale).astype(int)
            cv2.circle(labels, (int(x), int(y)), radius, int(label), -1)
    return labels


def _grab_cut(image: NDArray[np.uint8], labels: NDArray[np.uint8], rounds: int) -> Mask:
    """The object's pixels; `labels` stays as it is."""
    certain = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if certain.all() or not certain.any():
        return np.asarray(certain, np.bool_)
    cut = labels.copy()
    cv2.setRNGSeed(0)  # it begins with a random clustering: the same clicks give the same mask
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, cut, (0, 0, 1, 1), *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels for its colour models
        return np.asarray(certain, np.bool_)
    return np.asarray((cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD), np.bool_)


def _parts(inside: Mask, labels: NDArray[np.uint8]) -> Mask:
    """The connected parts that were clicked; without clicks all but small ones; no holes."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
    if count < 2:
        return inside
    kept = np.zeros(count, np.bool_)
    kept[np.unique(parts[inside & (labels == cv2.GC_FGD)])] = True
    if not kept[1:].any():
        areas = stats[:, cv2.CC_STAT_AREA]
        kept = areas >= _LEAST_PART * areas[1:].max()
    kept[0] = False
    whole: Mask = np.asarray(kept[parts], np.bool_)
    filled = with_holes_filled(whole, max(4, int(0.02 * np.count_nonzero(whole))))
    return np.asarray(filled & (labels != cv2.GC_BGD), np.bool_)


def _clearness(image: NDArray[np.uint8], inside: Mask) -> float:
    """How much stronger edges are along a mask's outline than within it; 0 without an outline."""
    if not inside.any() or inside.all():
        return 0.0
    soft = image.astype(np.float32)
    steps = [cv2.Sobel(soft, cv2.CV_32F, dx, dy, ksize=3) / 8 for dx, dy in ((1, 0), (0, 1))]
    slope = np.sqrt(sum(np.square(step).sum(axis=2) for step in steps))
    kernel = np.ones((3, 3), np.uint8)
    grown = cv2.dilate(inside.view(np.uint8), kernel) > 0
    shrunk = cv2.erode(inside.view(np.uint8), kernel) > 0
    outline = grown & ~shrunk
    edge = np.asarray(slope)
    within = float(edge[shrunk].mean()) if shrunk.any() else 0.0
    border = np.ones_like(inside)
    border[1:-1, 1:-1] = False
    cut_off = np.count_nonzero(inside & border) / np.count_nonzero(outline)
    return float(edge[outline].mean()) / (within + 4.0) * (1 - min(1.0, 2 * cut_off))
