"""The masks that a clip folder gives, as an annotation and as layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.export import Annotation, Origin
from napari_amodal.formats.tabe51 import Tabe51Clip
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.widgets.label_colors import label_colors
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole
from napari_amodal.widgets.mask_layer import OPACITY
from napari_amodal.widgets.mask_volume import mask_volume

#: A folder of TABE-51 holds one object.
OBJECT_ID = 1


def has_query_only(folder: Tabe51Clip) -> bool:
    """Whether the visible masks of a folder are there to start from: on some frames, none whole."""
    return not folder.amodal and 0 < len(folder.visible) < len(folder.clip)


def recorded_query_frame(folder: Tabe51Clip) -> int | None:
    """The frame that an exported folder was made from, if it says so and has a mask there."""
    frame = (folder.provenance or {}).get("query_frame")
    return frame if isinstance(frame, int) and frame in folder.visible else None


def given_annotation(folder: Tabe51Clip) -> Annotation:
    """The masks of a folder, empty on frames that have none; reads them all."""
    count = len(folder.clip)
    given = (Origin.GIVEN,) * count
    return Annotation(
        visible=_stack(folder.clip, folder.visible),
        amodal=_stack(folder.clip, folder.amodal),
        visible_origin=given,
        amodal_origin=given,
        confidence=np.ones(count, np.float32),
        leaving=frozenset(
            frame
            for frame, occlusion in enumerate(folder.occlusion or ())
            if occlusion.level is OcclusionLevel.NONE
        ),
    )


def _stack(clip: Clip, masks: Mapping[int, Mask]) -> MaskStack:
    empty = MaskStack.empty(len(clip), clip.height, clip.width)
    return empty.replaced({frame: masks[frame] for frame in masks})


def query_layer(folder: Tabe51Clip, frames: list[int]) -> tuple[Any, dict[str, Any], str]:
    """The visible masks of some frames as the layer that a run starts from."""
    clip = folder.clip
    labels = mask_volume((len(clip), clip.height, clip.width))
    for frame in frames:
        labels[frame][folder.visible[frame]] = OBJECT_ID
    settings = {
        "name": str(LayerRole.QUERY),
        "axis_labels": ("frame", "y", "x"),
        "opacity": 0.5,
        "colormap": label_colors(LayerRole.VISIBLE),
        "metadata": LayerOrigin(LayerRole.QUERY, clip, query_frame=frames[0]).as_metadata(),
    }
    return labels, settings, "labels"


def labels_layer(
    clip: Clip, annotation: Annotation, role: LayerRole
) -> tuple[Any, dict[str, Any], str]:
    """One kind of masks of an annotation as an editable Labels layer."""
    masks: MaskStack = annotation.visible if role is LayerRole.VISIBLE else annotation.amodal
    labels = mask_volume(masks.shape)
    for frame, box in enumerate(masks.boxes):
        crop = masks.crop(frame)
        if box is not None and crop is not None:
            labels[frame][box.slices][crop] = OBJECT_ID
    settings = {
        "name": str(role),
        "axis_labels": ("frame", "y", "x"),
        "opacity": OPACITY[role],
        "colormap": label_colors(role),
        "metadata": LayerOrigin(role, clip, OBJECT_ID, annotation).as_metadata(),
    }
    return labels, settings, "labels"
