"""From an Image layer to a clip, and to where masks over it lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.formats.pixels import clip_from_pixels
from napari_amodal.widgets.layer_origin import LayerRole, origin_of


@dataclass(frozen=True)
class LayerGrid:
    """Where the pixels of a frame stack lie in the scene.

    Attributes
    ----------
    shape : tuple of int
        ``(T, H, W)``.
    placement : dict
        Keyword arguments (scale, translate, ...) that put a Labels layer onto the stack.
    """

    shape: tuple[int, int, int]
    placement: dict[str, Any]


def clip_of(layer: Image) -> Clip:
    """The frames of an Image layer as a clip; nothing is read.

    An RGB stack ``(T, H, W, 3 or 4)`` or a grey one ``(T, H, W)`` of any number type, whose
    contrast limits become black and white; of a multiscale layer the finest level.

    Raises
    ------
    InputError
        The layer is one image, has one frame, or has a channel axis.
    """
    grid_of(layer)
    origin = origin_of(layer.metadata)
    if origin is not None and origin.role is LayerRole.FRAMES and origin.clip.frames is layer.data:
        return origin.clip
    pixels = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb:
        return clip_from_pixels(pixels, layer.name, channel_axis=3)
    low, high = layer.contrast_limits
    return clip_from_pixels(pixels, layer.name, limits=(float(low), float(high)))


def grid_of(layer: Image) -> LayerGrid:
    """Shape and place of a frame stack; `InputError` for a layer that is none."""
    pixels = layer.data[0] if layer.multiscale else layer.data
    shape = tuple(int(size) for size in pixels.shape[: layer.ndim])
    if layer.ndim == 2:
        raise InputError(
            f"{layer.name!r} is a single image of {shape[1]}x{shape[0]}: choose a stack of frames"
        )
    if layer.ndim > 3:
        raise InputError(
            f"{layer.name!r} has {layer.ndim} axes {shape}, a frame stack has 3: frames, rows, "
            "columns. If one of them is the channels: right-click the layer > Split Stack, then "
            "choose one channel, or select three and right-click > Merge to RGB"
        )
    if shape[0] < 2:
        raise InputError(
            f"{layer.name!r} has one frame: there is nothing to track; choose a stack of two "
            "frames or more"
        )
    return LayerGrid((shape[0], shape[1], shape[2]), _placement(layer))


def stack_fault(layer: Image) -> str:
    """What keeps an Image layer from being a frame stack; empty where nothing does."""
    try:
        grid_of(layer)
    except InputError as error:
        return str(error)
    return ""


def _placement(layer: Image) -> dict[str, Any]:
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def check_lies_on(labels: Labels, stack: Image) -> None:
    """Raise `InputError` unless a Labels layer covers a frame stack pixel by pixel."""
    shape = grid_of(stack).shape
    if labels.multiscale:
        raise InputError(f"{labels.name!r} is multiscale and cannot be painted: press New")
    if tuple(labels.data.shape) != shape:
        raise InputError(
            f"{labels.name!r} is {_size(labels.data.shape)}, {stack.name!r} is {_size(shape)}: "
            "press New to get a layer of the right size"
        )
    if not np.allclose(_matrix(labels), _matrix(stack), rtol=1e-4, atol=1e-6):
        raise InputError(
            f"{labels.name!r} has another scale, translate or rotation than {stack.name!r}: select "
            f"both and right-click {stack.name!r} > Copy scale / translate / ... > paste, or press "
            "New"
        )


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return f"{len(shape)}-dimensional {tuple(shape)}"
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"


def _matrix(layer: Image | Labels) -> np.ndarray:
    """Where the layer's corners 0 and unit steps lie in the scene, float ``(4, 3)``."""
    corners = np.vstack([np.zeros(3), np.eye(3)])
    return np.array([layer.data_to_world(corner) for corner in corners])


def current_frame(layer: Image | Labels, point: tuple[float, ...]) -> int:
    """The frame of a stack that a viewer's position `point` shows, kept inside the stack."""
    frame = int(np.round(layer.world_to_data(point[-3:])[0]))
    return min(max(frame, 0), int(layer.data.shape[0]) - 1)
