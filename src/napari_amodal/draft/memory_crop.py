"""Square crops that follow an object: what the network sees, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Frame
from napari_amodal.draft.memory_network import MEAN, SPREAD
from napari_amodal.masks import Mask

Float = NDArray[np.float32]
Image = NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """A square of a frame, which may reach beyond it.

    Attributes
    ----------
    y, x : int
        Its first row and column.
    side : int
        Its side, in pixels of the frame.
    seen : int
        The side of the picture that the network gets of it.
    """

    y: int
    x: int
    side: int
    seen: int

    @classmethod
    def around(cls, centre: tuple[float, float], side: float, seen: int) -> Crop:
        whole = max(1, round(side))
        return cls(round(centre[0] - whole / 2), round(centre[1] - whole / 2), whole, seen)

    @property
    def centre(self) -> tuple[float, float]:
        return self.y + self.side / 2, self.x + self.side / 2

    def _within(self, height: int, width: int) -> Box | None:
        return Box(self.y, self.x, self.y + self.side, self.x + self.side).clipped(height, width)

    def picture(self, frame: Frame) -> Float:
        """What the network gets of a frame ``(H, W, 3)``: float32 ``(1, 3, seen, seen)``."""
        grey = np.uint8(round(255 * MEAN))
        taken = self._taken(frame, np.full((self.side, self.side, 3), grey, np.uint8))
        picture = (taken.astype(np.float32) / 255 - MEAN) / SPREAD
        return np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis], np.float32)

    def shrink(self, mask: Mask) -> Float:
        """A mask ``(H, W)`` as its share of each of the network's pixels, ``(seen, seen)``."""
        empty = np.zeros((self.side, self.side), np.float32)
        return np.asarray(self._taken(mask.astype(np.float32), empty), np.float32)

    def _taken(self, image: Image, canvas: Image) -> Image:
        box = self._within(*image.shape[:2])
        if box is not None:
            rows = slice(box.y0 - self.y, box.y1 - self.y)
            columns = slice(box.x0 - self.x, box.x1 - self.x)
            canvas[rows, columns] = image[box.slices]
        way = cv2.INTER_AREA if self.side > self.seen else cv2.INTER_LINEAR
        resized: Image = cv2.resize(canvas, (self.seen, self.seen), interpolation=way)  # type: ignore[assignment]
        return resized

    def enlarge(self, chance: Float, height: int, width: int) -> Float:
        """A chance over the crop, ``(h, h)`` of any h, as float32 ``(H, W)``; 0 elsewhere."""
        out = np.zeros((height, width), np.float32)
        box = self._within(height, width)
        if box is not None:
            whole = cv2.resize(chance, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
            rows = slice(box.y0 - self.y, box.y1 - self.y)
            columns = slice(box.x0 - self.x, box.x1 - self.x)
            out[box.slices] = whole[rows, columns]
        return out

    def places_in(self, other: Crop, places: Float) -> Float:
        """Places ``(..., 2)`` of this crop, -1..1, as places of another crop."""
        middle = np.subtract(self.centre, other.centre) * (2 / other.side)
        return (places * np.float32(self.side / other.side) + middle).astype(np.float32)
