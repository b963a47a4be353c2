"""A clip: named frames, read one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


class FrameSource(Protocol):
    """What a format gives: the size of the frames and a way to read one (from any thread)."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(T, H, W, 3)``."""
        ...

    def read(self, frame: int) -> Frame:
        """One frame, uint8 ``(H, W, 3)``, RGB."""
        ...


@dataclass(frozen=True)
class Clip:
    """The frames of a clip.

    Attributes
    ----------
    name : str
        What the clip is called; its folder's name when it is exported.
    frames : dask.array.Array
        uint8 ``(T, H, W, 3)``, RGB, one frame a chunk.
    source : pathlib.Path or None
        Where the frames came from; None for an array.
    fps : float or None
        Frames a second, where the source says.
    """

    name: str
    frames: da.Array
    source: Path | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.frames.shape, self.frames.dtype
        if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8 or 0 in shape:
            raise ValueError(f"frames are uint8 (T, H, W, 3) and not empty, not {dtype} {shape}")

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    @property
    def height(self) -> int:
        return int(self.frames.shape[1])

    @property
    def width(self) -> int:
        return int(self.frames.shape[2])

    def frame(self, index: int) -> Frame:
        """Read one frame, uint8 ``(H, W, 3)``, in the calling thread."""
        return np.asarray(self.frames[index].compute(scheduler="synchronous"))

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(len(self)))


def lazy_frames(source: FrameSource) -> da.Array:
    """A dask array ``(T, H, W, 3)`` of uint8 over a frame source, one frame a chunk."""
    count, height, width, channels = source.shape

    def read_block(block_id: tuple[int, ...]) -> NDArray[np.uint8]:
        return source.read(block_id[0])[np.newaxis]

    return da.map_blocks(
        read_block,
        chunks=((1,) * count, (height,), (width,), (channels,)),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0, 0), np.uint8),
    )


def clip_from_array(frames: Any, name: str = "clip") -> Clip:
    """A clip over a numpy or dask array of uint8 ``(T, H, W, 3)``, without copying it.

    Raises
    ------
    ValueError
        The array has another shape or dtype (`napari_amodal.formats.pixels` converts).
    """
    return Clip(name, da.asarray(frames).rechunk((1, -1, -1, -1)))
