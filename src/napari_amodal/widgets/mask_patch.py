"""One mask in little memory, for passing it between threads and for telling edits apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_amodal.boxes import Box, box_of
from napari_amodal.masks import Mask, MaskStack


@dataclass(frozen=True, slots=True)
class MaskPatch:
    """A mask as its box and the bits inside; equal masks are equal patches.

    Attributes
    ----------
    box : Box or None
        None where the mask is empty.
    bits : bytes
        The pixels in the box, eight a byte.
    """

    box: Box | None = None
    bits: bytes = b""

    @classmethod
    def of(cls, mask: Mask) -> MaskPatch:
        box = box_of(mask)
        return EMPTY if box is None else cls(box, np.packbits(mask[box.slices]).tobytes())

    @classmethod
    def from_stack(cls, stack: MaskStack, frame: int) -> MaskPatch:
        """The patch of one frame of a stack; only the box is unpacked."""
        crop = stack.crop(frame)
        return EMPTY if crop is None else cls(stack.boxes[frame], np.packbits(crop).tobytes())

    def pixels(self) -> Mask:
        """The mask inside the box, bool; not for an empty one."""
        assert self.box is not None
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.box.area)
        return bits.reshape(self.box.height, self.box.width).astype(np.bool_)


EMPTY = MaskPatch()
