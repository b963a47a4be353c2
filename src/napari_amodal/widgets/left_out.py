"""Painted mask layers that an export does not write, so that no correction is lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Labels, Layer

from napari_amodal.errors import InputError
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.layer_clip import check_lies_on
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole, origin_of
from napari_amodal.widgets.mask_layers import ROLES, MaskLayers
from napari_amodal.widgets.query_layer import frame_list


@dataclass(frozen=True)
class LeftOut:
    """A layer that looks like a result and is painted, but is none of the exported ones."""

    name: str
    frames: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name!r} (painted on frame{'s' * (len(self.frames) > 1)} {self._frames})"

    @property
    def _frames(self) -> str:
        return frame_list(list(self.frames))


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what one may miss in it."""

    folders: tuple[Path, ...]
    layers: str
    left_out: tuple[LeftOut, ...]

    @property
    def summary(self) -> str:
        return f"Exported {self.layers} to {', '.join(map(str, self.folders))}"

    @property
    def warning(self) -> str:
        names = ", ".join(map(str, self.left_out))
        return (
            f"Not exported: {names}. The export holds {self.layers}: correct these and export "
            "again, or save the others through File > Save"
        )


def look_alikes(
    layers: Iterable[Layer], results: MaskLayers, query: Layer | None
) -> tuple[Labels, ...]:
    """Labels layers over the frames of `results` that one may take for its visible or amodal."""
    return tuple(
        layer
        for layer in layers
        if isinstance(layer, Labels)
        and layer is not query
        and not results.holds(layer)
        and _looks_alike(layer, results)
    )


def _looks_alike(layer: Labels, results: MaskLayers) -> bool:
    origin = origin_of(layer.metadata)
    if origin is None:
        named = any(layer.name.lower().startswith(role) for role in ROLES)
    else:
        clip = results.clip
        named = origin.role in ROLES and clip is not None and origin.clip.name == clip.name
    if results.stack is None:
        return False
    try:
        check_lies_on(layer, results.stack)
    except InputError:
        return False
    return named


def left_out(layers: Iterable[Labels], check: Callable[[], None]) -> tuple[LeftOut, ...]:
    """Those of the layers that hold the annotator's work; slow, for a worker thread."""
    found = []
    for layer in layers:
        before = _as_given(origin_of(layer.metadata))
        frames = []
        for frame in range(layer.data.shape[0]):
            check()
            mask = np.asarray(layer.data[frame]) != 0
            if (mask != before[frame]).any() if before is not None else mask.any():
                frames.append(frame)
        if frames:
            found.append(LeftOut(layer.name, tuple(frames)))
    return tuple(found)


def _as_given(origin: LayerOrigin | None) -> MaskStack | None:
    """The masks as a folder or a run gave them; None where the annotator made the layer."""
    if origin is None or origin.annotation is None:
        return None
    is_visible = origin.role is LayerRole.VISIBLE
    return origin.annotation.visible if is_visible else origin.annotation.amodal
