"""Reading the mask stacks of a session from their blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_amodal.annotation.mask_blocks import FRAMES_A_BLOCK, Block, read_block
from napari_amodal.errors import InputError
from napari_amodal.masks import MaskStack, PackedMask


class BlockReader:
    """Reads blocks, each once; masks that are the same are one in memory, as they were.

    Parameters
    ----------
    folder : pathlib.Path
        Where the blocks lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Block] = {}
        self._masks: dict[PackedMask, PackedMask] = {}
        self._taken: set[str] = set()

    @property
    def names(self) -> dict[Block, str]:
        """The names of what was read, by what it is."""
        return {block: name for name, block in self._read.items()}

    def taken(self) -> frozenset[str]:
        """The blocks that were asked for since the last call."""
        taken = frozenset(self._taken)
        self._taken.clear()
        return taken

    def stack(self, names: list[Any], shape: tuple[int, int, int]) -> MaskStack:
        count, height, width = shape
        starts = range(0, count, FRAMES_A_BLOCK)
        if len(names) != len(starts):
            raise InputError(f"{self._folder}: {len(names)} blocks of masks for {count} frames")
        packed: list[PackedMask] = []
        for start, name in zip(starts, names, strict=True):
            size = min(FRAMES_A_BLOCK, count - start)
            packed.extend(self._block(name, size, height, width))
        return MaskStack.from_packed(packed, height, width)

    def _block(self, name: object, size: int, height: int, width: int) -> Block:
        if name is None:
            return (PackedMask(None, b""),) * size
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(f"{self._folder}: {name!r} is no name of a block of masks")
        if name not in self._read or len(self._read[name]) != size:
            path = self._folder / name
            block = read_block(path, size, height, width)
            self._read[name] = tuple(self._masks.setdefault(mask, mask) for mask in block)
        self._taken.add(name)
        return self._read[name]
