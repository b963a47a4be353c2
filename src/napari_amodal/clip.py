"""A clip: named frames, read one by one when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import uuid4
from weakref import WeakValueDictionary

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
        """One frame, uint8 ``(H, W, 3)``, RGB; the caller's own to write into."""
        ...


@dataclass(frozen=True)
class Clip:
    """The frames of a clip.

    Attributes
    ----------
    name : str
        What the clip is called; its folder's name when it is exported (`safe_name` makes one).
    frames : dask.array.Array
        uint8 ``(T, H, W, 3)``, RGB, one frame a chunk.
    source : pathlib.Path or None
        Where the frames came from; None for an array.
    fps : float or None
        Frames a second, where the source says.
    part : tuple of int or None
        Which frames of the source these are, where they are some of them only (`part_of`).
    """

    name: str
    frames: da.Array
    source: Path | None = None
    fps: float | None = None
    part: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.frames.shape, self.frames.dtype
        if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8 or 0 in shape:
            raise ValueError(f"frames are uint8 (T, H, W, 3) and not empty, not {dtype} {shape}")
        if self.name in ("", ".", "..") or re.search(r"[/\\\0]", self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a clip: it names its folder")

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


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the frames of an array are read: the source itself, its path and its frame rate."""

    source: FrameSource
    path: Path | None = None
    fps: float | None = None


#: Origins by the name of the dask array over them. Whatever is computed from an array has another
#: name, so that an origin is never taken for frames that were changed since.
_origins: WeakValueDictionary[str, Origin] = WeakValueDictionary()


def origin_of(frames: da.Array) -> Origin | None:
    """Where an array of frames is read, if it was made by `lazy_frames` and not changed since."""
    return _origins.get(frames.name)


def lazy_frames(
    source: FrameSource, path: Path | None = None, fps: float | None = None
) -> da.Array:
    """A dask array ``(T, H, W, 3)`` of uint8 over a frame source, one frame a chunk."""
    count, height, width, channels = source.shape
    origin = Origin(source, path, fps)

    def read_block(block_id: tuple[int, ...]) -> NDArray[np.uint8]:
        return origin.source.read(block_id[0])[np.newaxis]

    # A name of its own: dask would hash the source, and with it all that it holds.
    map_blocks: Any = da.map_blocks
    frames = map_blocks(
        read_block,
        chunks=((1,) * count, (height,), (width,), (channels,)),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0, 0), np.uint8),
        name=f"frames-{uuid4().hex}",
    )
    _origins[frames.name] = origin
    return cast(da.Array, frames)


def clip_over(
    name: str, source: FrameSource, path: Path | None = None, fps: float | None = None
) -> Clip:
    """A clip over a frame source."""
    return Clip(name, lazy_frames(source, path, fps), path, fps)


@dataclass(frozen=True, eq=False)
class _ArraySource:
    """A numpy array of frames as it is; slices are copied only when they are computed."""

    frames: Frame

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, height, width, channels = self.frames.shape
        return count, height, width, channels

    def read(self, frame: int) -> Frame:
        found: Frame = self.frames[frame].copy()
        return found


def clip_from_array(frames: Any, name: str = "clip") -> Clip:
    """A clip over a numpy or dask array of uint8 ``(T, H, W, 3)``, without copying it.

    Raises
    ------
    ValueError
        The array has another shape or dtype (`napari_amodal.formats.pixels` converts).
    """
    if isinstance(frames, da.Array):
        rechunk: Any = frames.rechunk
        return Clip(name, rechunk((1, -1, -1, -1)))
    array = np.asarray(frames)
    if array.ndim != 4 or array.dtype != np.uint8 or 0 in array.shape:
        raise ValueError(
            f"frames are uint8 (T, H, W, 3) and not empty, not {array.dtype} {array.shape}"
        )
    return clip_over(name, _ArraySource(array))


@dataclass(frozen=True, eq=False)
class _PartSource:
    """Some frames of a clip, read through it."""

    clip: Clip
    part: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.part), self.clip.height, self.clip.width, 3

    def read(self, frame: int) -> Frame:
        return self.clip.frame(self.part[frame])


def part_of(clip: Clip, frames: Sequence[int]) -> Clip:
    """A clip of some frames of another, in any order; backwards, say."""
    taken = tuple(frames)
    of_source = tuple(clip.part[frame] for frame in taken) if clip.part else taken
    return Clip(clip.name, lazy_frames(_PartSource(clip, taken)), clip.source, clip.fps, of_source)


def safe_name(text: str) -> str:
    """A clip's name from any text, such as a layer's name: one that can name a folder anywhere."""
    kept = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]+', "_", text).strip(" .")
    # 200 bytes leave room for what is added while a folder is being written (255 at the most).
    return kept.encode()[:200].decode(errors="ignore") or "clip"
