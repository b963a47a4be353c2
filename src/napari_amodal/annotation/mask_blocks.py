"""Packed masks in ``.npz`` files, up to `FRAMES_A_BLOCK` frames in each."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.errors import InputError
from napari_amodal.formats.images import shown
from napari_amodal.masks import MaskStack, PackedMask

#: A changed mask has its block written anew: few frames make little to write, many make few files.
FRAMES_A_BLOCK = 64

Block = tuple[PackedMask, ...]


def blocks_of(stack: MaskStack) -> tuple[Block, ...]:
    """The masks of a stack in blocks; nothing is copied."""
    packed = stack.packed
    return tuple(
        packed[start : start + FRAMES_A_BLOCK] for start in range(0, len(packed), FRAMES_A_BLOCK)
    )


def is_empty(block: Block) -> bool:
    """Whether no mask of a block has a pixel."""
    return all(packed.box is None for packed in block)


def block_bytes(block: Block) -> bytes:
    """A block as an ``.npz`` file.

    It holds ``boxes``, int32 ``(N, 4)``, ``y0 x0 y1 x1`` or four zeros where a mask is empty, and
    ``bits``, uint8: for one mask after the other the pixels of its box row by row, packed eight a
    byte, the first in the highest bit, each mask beginning with a new byte.
    """
    boxes = [(0, 0, 0, 0) if p.box is None else _sides(p.box) for p in block]
    bits = np.frombuffer(b"".join(packed.bits for packed in block), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, boxes=np.array(boxes, np.int32).reshape(-1, 4), bits=bits)
    return file.getvalue()


def _sides(box: Box) -> tuple[int, int, int, int]:
    return box.y0, box.x0, box.y1, box.x1


def read_block(path: Path, count: int, height: int, width: int) -> Block:
    """Read a block of `count` masks of `height` x `width`.

    Raises
    ------
    InputError
        The file is missing or broken, or holds other masks than these.
    """
    try:
        boxes, bits = _arrays(path, most=count * (-(-height * width // 8) + 16) + 1000)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{shown(path)} is missing") from error
    except Exception as error:  # broken archives make zipfile and numpy raise almost anything
        raise InputError(f"{shown(path)} is broken ({error})") from error
    if boxes.shape != (count, 4):
        raise InputError(f"{shown(path)} holds {len(boxes)} masks instead of {count}")
    block = tuple(_packed(path, boxes, bits))
    try:
        MaskStack.from_packed(block, height, width)
    except ValueError as error:
        raise InputError(f"{shown(path)} is broken: {error}") from error
    return block


def _arrays(path: Path, most: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > most:
            raise InputError(f"{shown(path)} holds more than its masks can take")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        boxes, bits = arrays["boxes"], arrays["bits"]
    if boxes.dtype != np.int32 or boxes.ndim != 2 or bits.dtype != np.uint8 or bits.ndim != 1:
        raise InputError(f"{shown(path)} holds no masks: boxes {boxes.dtype}, bits {bits.dtype}")
    return boxes, bits


def _packed(path: Path, boxes: NDArray[np.int32], bits: NDArray[np.uint8]) -> Iterator[PackedMask]:
    at = 0
    for y0, x0, y1, x1 in boxes.tolist():
        if (y0, x0, y1, x1) == (0, 0, 0, 0):
            yield PackedMask(None, b"")
            continue
        if y0 >= y1 or x0 >= x1:
            raise InputError(f"{shown(path)} is broken: it has the box {y0} {x0} {y1} {x1}")
        box = Box(y0, x0, y1, x1)
        size = -(-box.area // 8)
        own = bits[at : at + size]
        if box.area % 8 and len(own) == size and own[-1] & (0xFF >> box.area % 8):
            raise InputError(f"{shown(path)} is broken: there are pixels beyond a box")
        yield PackedMask(box, own.tobytes())
        at += size
    if at != len(bits):
        raise InputError(f"{shown(path)} is broken: {len(bits)} bytes of masks instead of {at}")
