"""A frame at working resolution, and masks on their way there and back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask

Float = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A frame as the tracker sees it.

    Attributes
    ----------
    grey : ndarray
        uint8 ``(h, w)``.
    lab : ndarray
        float32 ``(h, w, 3)``, CIELAB (L 0..100), lightly smoothed against noise and compression.
    """

    grey: NDArray[np.uint8]
    lab: Float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.grey.shape[0]), int(self.grey.shape[1])


@dataclass(frozen=True)
class Scale:
    """How frames ``height x width`` are seen: never larger than they are."""

    height: int
    width: int
    longest: int

    @property
    def factor(self) -> float:
        return min(1.0, self.longest / max(self.height, self.width))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width at working resolution."""
        return max(1, round(self.height * self.factor)), max(1, round(self.width * self.factor))

    def view(self, frame: Frame) -> View:
        height, width = self.size
        small = np.ascontiguousarray(frame)
        if self.factor < 1:
            small = np.asarray(
                cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        lab = cv2.GaussianBlur(lab, (0, 0), 0.8)
        return View(np.asarray(grey, np.uint8), np.asarray(lab, np.float32))

    def shrink(self, mask: Mask) -> Float:
        """A mask ``(H, W)`` as its share of each working pixel, float32 ``(h, w)``.

        A mask that is too fine for the working pixels takes all that it touches.
        """
        height, width = self.size
        share = np.asarray(
            cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA),
            np.float32,
        )
        return share if share.max() > 0.5 else (share > 0).astype(np.float32)

    def enlarge(self, chance: Float, frame: Frame) -> Mask:
        """The mask ``(H, W)`` of a chance ``(h, w)``, its outline drawn to the frame's own edges.

        He and Sun, Fast Guided Filter, arXiv 1505.00996: the filter's coefficients are found at
        working resolution and applied at full resolution.
        """
        if self.factor == 1:
            return chance > 0.5
        mask = np.zeros((self.height, self.width), np.bool_)
        small_box = box_of(chance > 0.2)
        if small_box is None:
            return mask
        height, width = self.size
        small_box = small_box.padded(4).clipped(height, width)
        assert small_box is not None
        box = Box(
            small_box.y0 * self.height // height,
            small_box.x0 * self.width // width,
            small_box.y1 * self.height // height,
            small_box.x1 * self.width // width,
        )
        guide = _light(np.ascontiguousarray(frame[box.slices]))
        low_guide = np.asarray(
            cv2.resize(guide, (small_box.width, small_box.height), interpolation=cv2.INTER_AREA),
            np.float32,
        )
        slope, offset = (
            cv2.resize(image, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
            for image in _guided(low_guide, chance[small_box.slices])
        )
        mask[box.slices] = slope * guide + offset > 0.5
        return mask


def _light(frame: Frame) -> Float:
    """Grey picture ``(h, w)``, 0..1."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)


def _guided(
    guide: Float, chance: Float, radius: int = 2, smooth: float = 2e-3
) -> tuple[Float, Float]:
    """Coefficients of the guided filter (He et al., Guided Image Filtering, ECCV 2010)."""

    def mean(image: Float) -> Float:
        return np.asarray(cv2.blur(image, (2 * radius + 1, 2 * radius + 1)), np.float32)

    mean_guide, mean_chance = mean(guide), mean(chance)
    slope = (mean(guide * chance) - mean_guide * mean_chance) / (
        mean(guide * guide) - mean_guide**2 + smooth
    )
    return mean(slope), mean(mean_chance - slope * mean_guide)
