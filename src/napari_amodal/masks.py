"""Masks over time: bool ``(T, H, W)``, held in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PackedMask:
    """One mask, immutable: its box and the bits inside; no box where it is empty.

    Attributes
    ----------
    box : Box or None
    bits : bytes
        The pixels of the box row by row, eight a byte, the first in the highest bit; the last byte
        is filled up with zeros.
    """

    box: Box | None
    bits: bytes

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """A mask, bool ``(H, W)``, packed."""
        box = box_of(mask)
        return EMPTY if box is None else cls(box, np.packbits(mask[box.slices]).tobytes())

    def pixels(self) -> Mask:
        """The mask inside the box, bool ``(height, width)`` of it; not for an empty one."""
        assert self.box is not None
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.box.area)
        return bits.reshape(self.box.height, self.box.width).astype(np.bool_)


#: The mask without a pixel.
EMPTY = PackedMask(None, b"")


class MaskStack:
    """An immutable stack of masks that reads like a bool array ``(T, H, W)``.

    Each frame is kept as its bounding box and packed bits, so that a long clip in high resolution
    costs kilobytes a frame: 1,000 frames of 1080p with an object of 400 x 400 take 20 MB, not 2 GB.

    Parameters
    ----------
    frames : iterable of ndarray
        Bool masks ``(H, W)``, one a frame; consumed one by one.
    height, width : int
        Size of a frame, in pixels.

    Raises
    ------
    ValueError
        A mask has another size or is not bool.
    """

    __slots__ = ("_frames", "height", "width")

    def __init__(self, frames: Iterable[Mask], height: int, width: int) -> None:
        self.height = height
        self.width = width
        self._frames = tuple(self._checked(index, mask) for index, mask in enumerate(frames))

    def _checked(self, index: int, mask: Mask) -> PackedMask:
        mask = np.asarray(mask)
        if mask.dtype != np.bool_:
            raise ValueError(f"mask {index} is {mask.dtype}, masks are bool")
        if mask.shape != (self.height, self.width):
            raise ValueError(
                f"mask {index} has shape {mask.shape}, the frames are {self.height} x {self.width}"
            )
        return PackedMask.of(mask)

    @classmethod
    def from_array(cls, masks: NDArray[np.bool_]) -> MaskStack:
        """Pack a bool array ``(T, H, W)``."""
        _, height, width = masks.shape
        return cls(masks, height, width)

    @classmethod
    def empty(cls, frames: int, height: int, width: int) -> MaskStack:
        """A stack of `frames` empty masks."""
        stack = cls((), height, width)
        stack._frames = (EMPTY,) * frames
        return stack

    @classmethod
    def from_packed(cls, frames: Iterable[PackedMask], height: int, width: int) -> MaskStack:
        """A stack of masks that are packed already; they are shared, not copied.

        Raises
        ------
        ValueError
            A mask is not packed as `PackedMask` says, or reaches beyond the frame.
        """
        stack = cls((), height, width)
        stack._frames = tuple(frames)
        for index, packed in enumerate(stack._frames):
            stack._check_packed(index, packed)
        return stack

    def _check_packed(self, index: int, packed: PackedMask) -> None:
        box = packed.box
        if box is not None and box.clipped(self.height, self.width) != box:
            raise ValueError(f"mask {index} reaches beyond the {self.height} x {self.width} frame")
        expected = 0 if box is None else -(-box.area // 8)
        if len(packed.bits) != expected:
            raise ValueError(f"mask {index} has {len(packed.bits)} bytes instead of {expected}")

    @property
    def packed(self) -> tuple[PackedMask, ...]:
        """The masks as they are held."""
        return self._frames

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self._frames), self.height, self.width

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        return np.dtype(np.bool_)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """The bounding box of each frame's mask, None where it is empty."""
        return tuple(packed.box for packed in self._frames)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels in each frame's mask, int64 ``(T,)``."""
        counts = [
            int(np.bitwise_count(np.frombuffer(p.bits, np.uint8)).sum(dtype=np.int64))
            for p in self._frames
        ]
        return np.array(counts, np.int64)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, frame: int) -> Mask:
        """A new bool array ``(H, W)`` with the mask of one frame."""
        packed = self._frames[frame]
        mask = np.zeros((self.height, self.width), np.bool_)
        if packed.box is not None:
            mask[packed.box.slices] = packed.pixels()
        return mask

    def crop(self, frame: int) -> Mask | None:
        """The mask of one frame inside its box ``boxes[frame]``, or None where it is empty."""
        packed = self._frames[frame]
        return None if packed.box is None else packed.pixels()

    def within(self, frame: int, box: Box) -> Mask:
        """The mask of one frame inside a box that holds all of it; no more than that is unpacked.

        Returns
        -------
        ndarray
            Bool ``(height, width)`` of the box.
        """
        mask = np.zeros((box.height, box.width), np.bool_)
        packed = self._frames[frame]
        if packed.box is not None:
            y, x = packed.box.y0 - box.y0, packed.box.x0 - box.x0
            mask[y : y + packed.box.height, x : x + packed.box.width] = packed.pixels()
        return mask

    def __iter__(self) -> Iterator[Mask]:
        return (self[frame] for frame in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a MaskStack is packed: it cannot be an array without a copy")
        full = np.zeros(self.shape, np.bool_)
        for frame, packed in enumerate(self._frames):
            if packed.box is not None:
                full[frame][packed.box.slices] = packed.pixels()
        return full if dtype is None else full.astype(dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskStack):
            return NotImplemented
        return self.shape == other.shape and self._frames == other._frames

    def __hash__(self) -> int:
        return hash((self.shape, self._frames))

    def __repr__(self) -> str:
        filled = sum(packed.box is not None for packed in self._frames)
        return f"MaskStack({len(self)} frames of {self.height} x {self.width}, {filled} not empty)"

    def same_frame(self, other: MaskStack, frame: int) -> bool:
        """Whether both stacks hold the same mask on a frame; nothing is unpacked."""
        return self._frames[frame] == other._frames[frame]

    def replaced(self, masks: Mapping[int, Mask]) -> MaskStack:
        """The same stack with the masks of some frames replaced."""
        return self._with({frame: self._checked(frame, mask) for frame, mask in masks.items()})

    def taking(self, other: MaskStack, frames: Iterable[int]) -> MaskStack:
        """The same stack with some frames taken from another of its shape; nothing is unpacked."""
        if other.shape != self.shape:
            raise ValueError(f"masks of shape {other.shape} do not fit {self.shape}")
        return self._with({frame: other._frames[frame] for frame in frames})

    def with_packed(self, masks: Mapping[int, PackedMask]) -> MaskStack:
        """The same stack with the masks of some frames replaced by packed ones.

        Raises
        ------
        ValueError
            As `from_packed`.
        """
        for frame, packed in masks.items():
            self._check_packed(frame, packed)
        return self._with(masks)

    def _with(self, changed: Mapping[int, PackedMask]) -> MaskStack:
        frames = list(self._frames)
        for frame, packed in changed.items():
            frames[frame] = packed
        stack = MaskStack((), self.height, self.width)
        stack._frames = tuple(frames)
        return stack


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks; 0 where both are empty (as published)."""
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0
