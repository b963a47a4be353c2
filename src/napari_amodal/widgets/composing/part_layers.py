"""The layers through which a composition is looked at: one thing's own frames, all of them laid
over each other, and the clip as it will be written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_amodal.clip import lazy_frames
from napari_amodal.compose.layers import Composition, Footage, Occluder
from napari_amodal.export import Annotation, Origin
from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.composing.part import Part
from napari_amodal.widgets.given_masks import labels_layer
from napari_amodal.widgets.label_colors import label_colors
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole
from napari_amodal.widgets.query_layer import BRUSH_SHARE
from napari_amodal.widgets.readers import frames_layer

#: How much of an occluder's own background is seen in the overlap, 0..255.
_FAINT = 90

_AXES = ("frame", "y", "x")


def source_layers(part: Part) -> list[Layer]:
    """All frames of a source, and over them its masks, to paint in."""
    labels = Labels(
        part.volume,
        name=f"masks of {part.name}",
        opacity=0.5,
        colormap=label_colors(LayerRole.VISIBLE),
        metadata=LayerOrigin(LayerRole.QUERY, part.clip).as_metadata(),
        axis_labels=_AXES,
    )
    labels.brush_size = max(3, round(BRUSH_SHARE * min(part.volume.shape[1:])))
    return [Layer.create(*frames_layer(part.clip)), labels]


@dataclass(frozen=True, eq=False)
class _Shown:
    """The frames of a footage as they are shown along the composed clip, RGBA.

    Where it is not there the frame is clear; what is not of its mask is faint, unless `solid`.
    """

    footage: Footage
    count: int
    solid: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.count, self.footage.clip.height, self.footage.clip.width, 4

    def read(self, frame: int) -> NDArray[np.uint8]:
        found = np.zeros(self.shape[1:], np.uint8)
        taken = self.footage.taken
        at = self.footage.timing.shown(len(taken), frame)
        if at is None:
            return found
        found[..., :3] = self.footage.clip.frame(taken[at])
        found[..., 3] = 255
        if not self.solid:
            found[..., 3][~self.footage.masks[taken[at]]] = _FAINT
        return found


def shown_layer(footage: Footage, count: int, *, solid: bool) -> Image:
    """A footage along the `count` frames of the composed clip."""
    return Image(
        lazy_frames(_Shown(footage, count, solid)),
        name=f"{footage.clip.name} (overlap)",
        rgb=True,
        axis_labels=_AXES,
        cache=False,
    )


def place(layer: Image, occluder: Occluder, target: Footage, frame: int) -> None:
    """Move the layer of an occluder to where it lies in a frame of the composed clip."""
    scale = float(occluder.scale.at(frame)[0])
    move = occluder.position.at(frame)
    sizes = (target.clip.height, target.clip.width)
    own = (occluder.footage.clip.height, occluder.footage.clip.width)
    corner = [
        (whole - 1) / 2 + by - scale * (part - 1) / 2
        for whole, by, part in zip(sizes, move, own, strict=True)
    ]
    layer.scale = np.array((1, scale, scale))
    layer.translate = np.array((0, *corner))


def drag(
    moved: Callable[[float, float], None],
) -> Callable[[Layer, Any], Generator[None, None, None]]:
    """A mouse callback that tells by how many pixels, down and right, a layer was dragged."""

    def on_drag(layer: Layer, event: Any) -> Generator[None, None, None]:
        before = event.position
        yield
        while event.type == "mouse_move":
            now = event.position
            moved(now[-2] - before[-2], now[-1] - before[-1])
            before = now
            yield

    return on_drag


def preview_layers(found: Composition) -> list[Layer]:
    """The composed clip, composed as it is looked at, and its masks."""
    count = len(found.clip)
    annotation = Annotation(
        found.visible,
        found.amodal,
        (Origin.GIVEN,) * count,
        (Origin.GIVEN,) * count,
        np.ones(count, np.float32),
        frozenset(at for at, one in enumerate(found.occlusion) if one.level is OcclusionLevel.NONE),
    )
    roles = (LayerRole.AMODAL, LayerRole.VISIBLE)
    return [
        Layer.create(*frames_layer(found.clip)),
        *(Layer.create(*labels_layer(found.clip, annotation, role)) for role in roles),
    ]


def told_levels(found: Composition) -> str:
    """How many frames have which level, in words."""
    levels = [one.level for one in found.occlusion]
    counts = {level: levels.count(level) for level in reversed(OcclusionLevel)}
    return ", ".join(f"{count} {level.name}" for level, count in counts.items() if count)
