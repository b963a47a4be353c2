"""From pixels of any kind to the frames of a clip: uint8, RGB."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip, Frame, clip_over, origin_of, safe_name
from napari_amodal.errors import InputError

#: So many frames, evenly spread over a clip, are looked at for its range of values.
SAMPLED_FRAMES = 16

#: Share of the values at either end that the range leaves out, so that a hot pixel does not make
#: the whole clip dark.
TAIL = 0.001

#: Values of one sampled frame that are looked at, at the most.
_SAMPLED_VALUES = 1 << 18


@dataclass(frozen=True, slots=True)
class Limits:
    """The range of values that is spread over 0..255; what lies outside is cut off."""

    low: float
    high: float

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Values to uint8: `low` to 0, `high` to 255, linear between; NaN to 0."""
        kind = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
        scale = 255 / (self.high - self.low) if self.high > self.low else 0.0
        shades = (np.clip(pixels.astype(kind), self.low, self.high) - kind(self.low)) * kind(scale)
        found: NDArray[np.uint8] = np.nan_to_num(shades + kind(0.5), nan=0.0).astype(np.uint8)
        return found


def sampled(count: int) -> list[int]:
    """The frames, of `count`, that are looked at for the range of values."""
    return sorted({int(n) for n in np.linspace(0, count - 1, min(count, SAMPLED_FRAMES))})


def limits_of(samples: Iterable[NDArray[Any]]) -> Limits:
    """One range for a whole clip, from a sample of its frames.

    It goes from the 0.1 to the 99.9 percentile of the finite values, or from the least to the
    largest where those two are the same (a few bright dots on black).

    Raises
    ------
    InputError
        No value is finite.
    """
    values = np.concatenate([_some_finite(pixels) for pixels in samples])
    if values.size == 0:
        raise InputError("the frames hold no finite values: there is nothing to see in them")
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    if low == high:
        low, high = values.min(), values.max()
    return Limits(float(low), float(high))


def _some_finite(pixels: NDArray[Any]) -> NDArray[np.float64]:
    # An odd step does not fall on the same columns in every row.
    step = pixels.size // _SAMPLED_VALUES | 1
    values = pixels.reshape(-1)[::step].astype(np.float64)
    return values[np.isfinite(values)]


def rgb_frame(pixels: NDArray[np.uint8]) -> Frame:
    """uint8 ``(H, W)`` or ``(H, W, 1|3|4)`` to a new ``(H, W, 3)``.

    Grey is repeated, alpha dropped: transparency means nothing in the frame of a video.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[..., :3].copy()


@dataclass(frozen=True)
class _Layout:
    """Which axis of an array is time and which holds the channels, if one does."""

    time: int
    channel: int | None

    def frame_of(self, array: Any, frame: int) -> NDArray[Any]:
        """The pixels of one frame, ``(H, W)`` or ``(H, W, C)``."""
        index: list[slice | int] = [slice(None)] * array.ndim
        index[self.time] = frame
        pixels = np.asarray(array[tuple(index)])
        if self.channel is None:
            return pixels
        axis = self.channel - (self.channel > self.time)
        return np.moveaxis(pixels, axis, -1)


class _PixelSource:
    """Frames of an array of any kind that can be indexed, converted one by one."""

    def __init__(self, array: Any, layout: _Layout, limits: Limits | None) -> None:
        self._array = array
        self._layout = layout
        self._given = limits

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        sizes = list(self._array.shape)
        if self._layout.channel is not None:
            del sizes[self._layout.channel]
        return sizes[0], sizes[1], sizes[2], 3

    @cached_property
    def _limits(self) -> Limits | None:
        """None where the values are shades already."""
        dtype = self._array.dtype
        if self._given is not None or dtype == np.uint8:
            return self._given
        if dtype == np.bool_:
            return Limits(0, 1)
        layout, count = self._layout, self.shape[0]
        limits = limits_of(layout.frame_of(self._array, frame) for frame in sampled(count))
        # Colours in floats are 0..1 by convention; stretching them would change the colours.
        colour = layout.channel is not None and self._array.shape[layout.channel] > 1
        if dtype.kind == "f" and colour and limits.low >= 0 and limits.high <= 1:
            return Limits(0, 1)
        return limits

    def read(self, frame: int) -> Frame:
        pixels = self._layout.frame_of(self._array, frame)
        limits = self._limits
        return rgb_frame(pixels if limits is None else limits.apply(pixels))


def clip_from_pixels(
    array: Any,
    name: str,
    *,
    channel_axis: int | None = None,
    limits: tuple[float, float] | None = None,
) -> Clip:
    """A clip over an array of any real dtype; nothing is computed or copied before it is read.

    Parameters
    ----------
    array : array-like
        numpy, dask, zarr or whatever has `shape` and `dtype` and can be indexed: ``(T, H, W)``
        grey, ``(T, H, W, 1|3|4)`` grey, RGB or RGBA, or with one or three channels on another
        axis, ``(T, C, H, W)`` or ``(C, T, H, W)``. Alpha is dropped. Frames of a clip that was
        opened from a file are taken as they are, with its source and frame rate.
    name : str
        What the clip is called; made safe for a folder's name.
    channel_axis : int, optional
        The axis of the channels, where it cannot be told from the sizes.
    limits : tuple of float, optional
        The values that become 0 and 255. Without: uint8 stays as it is, False and True become 0
        and 255, floats within 0..1 in colour images are taken as 0..1, and anything else is spread
        by the one range of `limits_of` over the whole clip. NaN becomes 0.

    Raises
    ------
    InputError
        The array is not a stack of frames; the message says what is.
    """
    origin = origin_of(array) if isinstance(array, da.Array) else None
    if origin is not None:  # frames that one of our readers opened are what they should be
        return Clip(safe_name(name), array, origin.path, origin.fps)
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise InputError(f"{name!r} is a {type(array).__name__}, not an array of frames (T, H, W)")
    if array.dtype.kind not in "buif":
        raise InputError(f"{name!r} holds {array.dtype} values: frames are numbers, not complex")
    if 0 in array.shape:
        raise InputError(f"{name!r} has shape {tuple(array.shape)}: there are no pixels in it")
    layout = _layout_of(tuple(array.shape), name, channel_axis)
    source = _PixelSource(array, layout, None if limits is None else _checked(limits, name))
    return clip_over(safe_name(name), source)


def _checked(limits: tuple[float, float], name: str) -> Limits:
    low, high = (float(value) for value in limits)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"the contrast limits of {name!r} are {low} and {high}: set them anew")
    return Limits(low, high)


def _layout_of(shape: tuple[int, ...], name: str, channel_axis: int | None) -> _Layout:
    ndim = len(shape)
    said = f"{name!r} has shape {shape}"
    if channel_axis is None and ndim == 3:
        if shape[-1] in (3, 4):
            raise InputError(f"{said}: that is one colour image, a clip is a stack of frames")
        return _Layout(0, None)
    if ndim < 3 or (channel_axis is not None and ndim == 3):
        raise InputError(f"{said}: that is one image, a clip is a stack of frames (T, H, W)")
    if ndim > 4:
        raise InputError(f"{said}: a clip has time, height, width and colours; choose one stack")
    if channel_axis is None:
        axis = _channel_axis(shape)
    elif -ndim <= channel_axis < ndim:
        axis = channel_axis % ndim
    else:
        raise InputError(f"{said}: it has no axis {channel_axis} for the channels")
    if axis is None or shape[axis] not in (1, 3, 4):
        raise InputError(
            f"{said}: a clip is grey (T, H, W) or has 3 channels (RGB); choose one channel, "
            "one plane, or merge the channels to RGB"
        )
    return _Layout(1 if axis == 0 else 0, axis)


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of a four-dimensional array that looks like the channels."""
    if shape[3] in (1, 3, 4):
        return 3
    return next((axis for axis in (1, 0) if shape[axis] in (1, 3)), None)
