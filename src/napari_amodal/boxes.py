"""Boxes ``y0 x0 y1 x1``, half-open, in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Box:
    """A box that holds rows ``y0 <= y < y1`` and columns ``x0 <= x < x1``.

    It may reach beyond the frame (an object that is leaving it) but is never empty.
    """

    y0: int
    x0: int
    y1: int
    x1: int

    def __post_init__(self) -> None:
        if self.y1 <= self.y0 or self.x1 <= self.x0:
            raise ValueError(f"empty box: rows {self.y0}..{self.y1}, columns {self.x0}..{self.x1}")

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def center(self) -> tuple[float, float]:
        """The centre as ``(y, x)``."""
        return (self.y0 + self.y1) / 2, (self.x0 + self.x1) / 2

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an image; the box must lie inside it (see `clipped`)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def union(self, other: Box) -> Box:
        return Box(
            min(self.y0, other.y0),
            min(self.x0, other.x0),
            max(self.y1, other.y1),
            max(self.x1, other.x1),
        )

    def intersection(self, other: Box) -> Box | None:
        """The common part, or None where there is none."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        y1, x1 = min(self.y1, other.y1), min(self.x1, other.x1)
        return Box(y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None

    def iou(self, other: Box) -> float:
        common = self.intersection(other)
        shared = common.area if common else 0
        return shared / (self.area + other.area - shared)

    def padded(self, pixels: int) -> Box:
        """The box grown by `pixels` on each side."""
        return Box(self.y0 - pixels, self.x0 - pixels, self.y1 + pixels, self.x1 + pixels)

    def clipped(self, height: int, width: int) -> Box | None:
        """The part inside a frame of `height` x `width`, or None where there is none."""
        return self.intersection(Box(0, 0, height, width))


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds a mask ``(H, W)``, or None where the mask is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
