"""TIFF stacks: ImageJ, OME, multi-page; one plane a frame, read when it is looked up."""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_amodal.clip import Clip, Frame, clip_over
from napari_amodal.errors import InputError
from napari_amodal.formats.pixels import Limits, limits_of, rgb_frame, sampled

TIFF_SUFFIXES = frozenset({".btf", ".lsm", ".tf8", ".tif", ".tiff"})

#: What tifffile decodes to the values that are meant; Pillow converts anything else to RGB.
_PLAIN = frozenset({"MINISBLACK", "MINISWHITE", "RGB", "PALETTE"})


@dataclass(frozen=True, slots=True)
class _Stack:
    """How the axes of a series map to frames.

    Attributes
    ----------
    sizes, strides : tuple of int
        Of frames and of channels that lie in planes of their own: how many there are, and how many
        planes further the next one is.
    page_axes : str
        Axes of one plane: ``YX``, ``YXS`` or ``SYX``.
    """

    frames: int
    frame_stride: int
    channels: int
    channel_stride: int
    page_axes: str

    def planes(self, frame: int) -> list[int]:
        first = frame * self.frame_stride
        return [first + channel * self.channel_stride for channel in range(self.channels)]


class TiffStack:
    """The frames of a TIFF file; a `FrameSource`.

    Values of more than 8 bits are spread over 0..255 by one range for the whole clip, taken from 16
    frames evenly spread over it (`napari_amodal.formats.pixels.limits_of`). 8-bit values stay as
    they are, alpha is dropped, palettes are applied. Compressions that tifffile lacks without
    imagecodecs (LZW, JPEG) are read by Pillow.

    Raises
    ------
    InputError
        The file is broken or truncated, or is no stack of frames of one size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        check_pages(path)
        try:
            self._file = tifffile.TiffFile(path)
            self._series = self._file.series[0]
            self._page: Any = self._series.keyframe
            _check_whole(self._file, path)
            self._stack = _stack_of(self._series, path)
        except InputError:
            raise
        except Exception as error:  # broken files make tifffile raise almost anything
            raise InputError(f"{path} cannot be read as TIFF: {error}") from error

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._stack.frames, self._page.imagelength, self._page.imagewidth, 3

    def read(self, frame: int) -> Frame:
        pixels = self._pixels(frame)
        limits = self._limits
        return rgb_frame(pixels if limits is None else limits.apply(pixels))

    @cached_property
    def _limits(self) -> Limits | None:
        dtype = self._pixels(0).dtype
        if dtype == np.uint8:
            return None
        if dtype == np.bool_:
            return Limits(0, 1)
        return limits_of(self._pixels(frame) for frame in sampled(self._stack.frames))

    def _pixels(self, frame: int) -> NDArray[Any]:
        """Values of one frame, ``(H, W)`` or ``(H, W, 3|4)``."""
        try:
            with self._lock:
                planes = [self._plane(number) for number in self._stack.planes(frame)]
        except Exception as error:  # broken files make tifffile raise almost anything
            raise InputError(f"frame {frame} of {self._path} cannot be read: {error}") from error
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)

    def _plane(self, number: int) -> NDArray[Any]:
        if self._contiguous is not None:
            return self._as_meant(np.array(self._contiguous[number]))
        page = self._series.pages[number]
        if page is None:
            raise ValueError("the page is missing")
        if self._needs_pillow:
            return self._by_pillow(page.index)
        return self._as_meant(page.asarray())

    @cached_property
    def _contiguous(self) -> NDArray[Any] | None:
        """The planes of a stack that has one page for all (ImageJ above 4 GB), else None."""
        shape = self._series.shape
        page_ndim = len(self._stack.page_axes)
        if len(self._series.pages) > 1 or len(shape) == page_ndim:
            return None
        if self._series.dataoffset is None:
            raise ValueError("its one page holds all the frames in a compressed form")
        dtype = self._series.dtype.newbyteorder(self._file.byteorder)
        planes = np.memmap(self._path, dtype, "r", self._series.dataoffset, shape)
        return planes.reshape(-1, *shape[-page_ndim:])

    @cached_property
    def _needs_pillow(self) -> bool:
        if self._page.photometric.name not in _PLAIN:
            return True
        try:
            self._page.asarray()
        except (ValueError, ImportError, KeyError) as error:
            return "imagecodecs" in str(error)
        return False

    def _by_pillow(self, page: int) -> NDArray[Any]:
        with Image.open(self._path) as image:
            image.seek(page)
            return np.asarray(image if image.mode.startswith(("I", "F")) else image.convert("RGB"))

    def _as_meant(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Palette and inverted grey resolved, samples last; grey with alpha as grey."""
        page = self._page
        if page.photometric.name == "PALETTE" and page.colormap is not None:
            colours = page.colormap
            if colours.max() > 255:
                colours = colours >> 8
            return np.ascontiguousarray(colours.astype(np.uint8).T[pixels])
        if page.photometric.name == "MINISWHITE":
            pixels = ~pixels if pixels.dtype.kind in "bu" else -pixels
        if self._stack.page_axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] <= 2 else pixels


def check_pages(path: Path) -> None:
    """Raise `InputError` where the pages of a TIFF go round in a circle; tifffile would, too."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return  # no TIFF at all, which tifffile says
        # BigTIFF (43) counts tags in 8 bytes and has 20 bytes a tag, others 2 and 12.
        big = struct.unpack(order + "H", head[2:4])[0] == 43
        count, offset, tag = ("Q", "Q", 20) if big else ("H", "I", 12)
        at = head[8:16] if big else head[4:8]
        seen: set[int] = set()
        while len(at) == struct.calcsize(offset):
            (page,) = struct.unpack(order + offset, at)
            if page == 0:
                return
            if page in seen:
                raise InputError(f"{path} is broken: its pages go round in a circle; restore it")
            seen.add(page)
            try:
                file.seek(page)
                (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
                file.seek(page + struct.calcsize(count) + tags * tag)
            except (OSError, OverflowError, ValueError, struct.error):
                return  # it ends early, which is told of another way
            at = file.read(struct.calcsize(offset))


def _check_whole(file: tifffile.TiffFile, path: Path) -> None:
    """Raise `InputError` for a file that ends early or whose pages are of several sizes."""
    last = file.pages[len(file.pages) - 1]
    handle, kind = file.filehandle, file.tiff
    handle.seek(last.offset)
    (tags,) = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))
    handle.seek(last.offset + kind.tagnosize + tags * kind.tagsize)
    following = handle.read(kind.offsetsize)
    ends = max(
        (
            offset + count
            for page in file.pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ),
        default=0,
    )
    if following.strip(b"\0") or len(following) < kind.offsetsize or ends > handle.size:
        raise InputError(
            f"{path} is truncated: it ends early, at page {len(file.pages)}; restore the file"
        )
    first = file.series[0]
    for other in file.series[1:]:
        page = other.keyframe
        if page.is_reduced:
            continue
        raise InputError(
            f"page {page.index} of {path} is {page.imagewidth}x{page.imagelength}, {page.dtype}, "
            f"the frames are {first.keyframe.imagewidth}x{first.keyframe.imagelength}, "
            f"{first.keyframe.dtype}: give all pages one size and kind"
        )


def _stack_of(series: Any, path: Path) -> _Stack:
    page_axes = "".join(axis for axis in series.keyframe.axes if axis in "SYX")
    leading = len(series.shape) - len(page_axes)
    said = f"{path} has the axes {series.axes} of sizes {series.shape}"
    if series.axes[leading:] != page_axes or series.dtype.kind not in "buif":
        raise InputError(f"{said} and values of type {series.dtype}: that is no stack of frames")
    samples = series.keyframe.samplesperpixel
    if samples not in (1, 2, 3, 4):
        raise InputError(f"{said}, {samples} samples a pixel: a frame is grey or RGB")
    strides: dict[str, tuple[int, int]] = {}
    stride = 1
    for axis, size in zip(series.axes[:leading][::-1], series.shape[:leading][::-1], strict=True):
        if size > 1:
            strides[axis] = (size, stride)
        stride *= size
    if len(strides) == 1 and strides.get("C", (0, 0))[0] > 4:
        # Nothing but many "channels": a stack that was saved without saying what its axis is.
        strides = {"T": strides["C"]}
    channels, channel_stride = strides.pop("C", (1, 0))
    if channels not in (1, 3) or len(strides) > 1:
        raise InputError(
            f"{said}: a clip has one axis of frames and is grey or has 3 channels (RGB); save one "
            "channel or plane of it"
        )
    frames, frame_stride = next(iter(strides.values()), (1, 0))
    return _Stack(frames, frame_stride, channels, channel_stride, page_axes)


def open_tiff(path: Path) -> Clip:
    """A clip over the pages of a TIFF file, named after it; no page is read.

    Raises
    ------
    InputError
        See `TiffStack`.
    """
    return clip_over(path.stem, TiffStack(path), path)
