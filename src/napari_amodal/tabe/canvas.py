"""The square pictures that the video model sees: the visible object on white, and what to generate.

Source: TABE (reference page, sections 7 and 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip, Frame
from napari_amodal.masks import Mask, MaskStack

#: A visible part smaller than this is dilated until it is not (pixels of the canvas).
SMALLEST_PART = 250
#: The canvas is padded by no more than this share of the frame's longer side.
WIDEST_MARGIN = 0.25

_WHITE = 255


@dataclass(frozen=True)
class Canvas:
    """How frames lie on the square canvas.

    Attributes
    ----------
    size : int
        Side of the canvas in pixels; the padded frame is stretched to it.
    height, width : int
        Size of a frame.
    margin : int
        White pixels added on each side of a frame, for an object that reaches beyond it.
    """

    size: int
    height: int
    width: int
    margin: int = 0

    def place(self, frame: Frame, mask: Mask) -> Frame:
        """The object of a frame on white, uint8 ``(size, size, 3)``."""
        on_white = np.where(mask[..., None], frame, np.uint8(_WHITE))
        padded = self._padded(on_white, _WHITE)
        return self._resized(padded, cv2.INTER_AREA)

    def place_mask(self, mask: Mask, *, beyond: bool = False) -> Mask:
        """A mask on the canvas, bool ``(size, size)``; `beyond` is its value outside the frame."""
        padded = self._padded(mask.astype(np.uint8) * _WHITE, _WHITE * int(beyond))
        return np.asarray(self._resized(padded, cv2.INTER_AREA) > _WHITE // 2)

    def place_box(self, box: Box) -> Box | None:
        """A box of the frame in the canvas's pixels, or None where it lies outside."""
        tall, wide = self.height + 2 * self.margin, self.width + 2 * self.margin
        y0, y1 = ((y + self.margin) * self.size / tall for y in (box.y0, box.y1))
        x0, x1 = ((x + self.margin) * self.size / wide for x in (box.x0, box.x1))
        grown = Box(int(y0), int(x0), max(int(y0) + 1, round(y1)), max(int(x0) + 1, round(x1)))
        return grown.clipped(self.size, self.size)

    def take_back(self, mask: Mask) -> Mask:
        """A mask of the canvas as a mask of the frame, bool ``(H, W)``."""
        wide, tall = self.width + 2 * self.margin, self.height + 2 * self.margin
        full = cv2.resize(mask.astype(np.float32), (wide, tall), interpolation=cv2.INTER_LINEAR)
        inner = full[self.margin : tall - self.margin, self.margin : wide - self.margin]
        return np.asarray(inner > 0.5)

    def _padded(self, picture: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
        border = (self.margin,) * 4
        padded = cv2.copyMakeBorder(picture, *border, cv2.BORDER_CONSTANT, value=(value,) * 3)
        return np.asarray(padded, np.uint8)

    def _resized(self, picture: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
        size = (self.size, self.size)
        return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8)


def canvas_for(clip: Clip, boxes: tuple[Box | None, ...], size: int) -> Canvas:
    """A canvas with as much margin as the amodal boxes reach beyond the frame, within bounds."""
    reach = [
        max(-box.y0, -box.x0, box.y1 - clip.height, box.x1 - clip.width, 0)
        for box in boxes
        if box is not None
    ]
    widest = int(WIDEST_MARGIN * max(clip.height, clip.width))
    return Canvas(size, clip.height, clip.width, min(max(reach, default=0), widest))


@dataclass(frozen=True)
class CanvasFrames:
    """Consecutive frames on the canvas.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(T, S, S, 3)``: the visible object on white.
    visible : ndarray
        bool ``(T, S, S)``.
    hidden : ndarray
        bool ``(T, S, S)``: what is to be generated.
    """

    pixels: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    hidden: NDArray[np.bool_]


def outpainting_frames(
    clip: Clip,
    frames: range,
    canvas: Canvas,
    visible: MaskStack,
    hiders: MaskStack,
    boxes: tuple[Box | None, ...],
    whole: frozenset[int],
    amodal: Mapping[int, Mask],
) -> CanvasFrames:
    """What the model is given of each frame (section 8).

    Parameters
    ----------
    frames : range
        The frames of the chunk.
    visible, hiders : MaskStack
        ``(T, H, W)`` of the whole clip.
    boxes : tuple of Box or None
        Amodal box of each frame of the clip.
    whole : frozenset of int
        Frames in which nothing is hidden: nothing is generated there.
    amodal : mapping of int to ndarray
        Frames of the clip whose whole object is known: bool ``(H, W)``. Just what it hides is
        generated there.
    """
    placed = []
    for t in frames:
        pixels, seen = _object_on_white(clip.frame(t), visible[t], canvas)
        hidden = np.zeros_like(seen)
        if t in amodal:
            hidden = canvas.place_mask(amodal[t]) & ~seen
        elif t not in whole:
            hidden = _hidden(seen, canvas, hiders[t], boxes[t])
        placed.append((pixels, seen, hidden))
    pictures, parts, fillings = (np.stack(part) for part in zip(*placed, strict=True))
    return CanvasFrames(pictures, parts, fillings)


def _object_on_white(frame: Frame, visible: Mask, canvas: Canvas) -> tuple[Frame, Mask]:
    """The visible object on the canvas and its mask; a small one with its surroundings."""
    pixels, seen = canvas.place(frame, visible), canvas.place_mask(visible)
    if not seen.any():
        return np.full_like(pixels, _WHITE), seen
    grown = _grown(seen)
    ring = grown & ~seen
    if ring.any():
        pixels[ring] = canvas.place(frame, np.ones_like(visible))[ring]
    return pixels, grown


def _hidden(seen: Mask, canvas: Canvas, hiders: Mask, box: Box | None) -> Mask:
    """What is nearer than the object inside its amodal box; the whole box where none is seen."""
    hidden = np.zeros_like(seen)
    placed_box = canvas.place_box(box) if box is not None else None
    if placed_box is None:
        return hidden
    near = canvas.place_mask(hiders, beyond=True) if seen.any() else np.ones_like(seen)
    hidden[placed_box.slices] = (near & ~seen)[placed_box.slices]
    return hidden


def _grown(mask: Mask) -> Mask:
    """Dilate a small mask until it has `SMALLEST_PART` pixels."""
    grown = mask.astype(np.uint8)
    while grown.sum() < SMALLEST_PART:
        grown = np.asarray(cv2.dilate(grown, np.ones((3, 3), np.uint8)), np.uint8)
    return grown.astype(np.bool_)
