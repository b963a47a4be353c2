"""A dataset of one clip in napari: opening it as layers, and saving layers as a COCO file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip, clip_over, origin_of, safe_name
from napari_amodal.errors import InputError
from napari_amodal.export import Annotation, Origin
from napari_amodal.formats.coco import LISTS, coco_parts
from napari_amodal.formats.dataset import ClipObject, DatasetClip, StackMasks
from napari_amodal.formats.dataset_formats import open_dataset, recognise
from napari_amodal.formats.format_table import DatasetFormat
from napari_amodal.formats.images import ImageFolder, read_header
from napari_amodal.formats.json_parts import json_parts
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.widgets.given_masks import labels_layer
from napari_amodal.widgets.label_colors import label_colors
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole

LayerTuple = tuple[Any, dict[str, Any], str]

#: TABE-51 folders have a reader of their own, TIFF stacks are napari's.
OPENED = frozenset(
    {
        DatasetFormat.COCO,
        DatasetFormat.COCOA,
        DatasetFormat.TAO_AMODAL,
        DatasetFormat.BURST,
        DatasetFormat.DAVIS,
    }
)


def open_one_clip(path: Path) -> tuple[Clip, list[LayerTuple]]:
    """The frames of a dataset of one clip, and its masks as layers, two an object.

    Boxes that stand without a mask, as all of TAO-Amodal's do, are Shapes layers.

    Raises
    ------
    InputError
        It has several clips, its frames are not there, or it is broken.
    """
    fmt = recognise(path)
    assert fmt is not None
    with open_dataset(path, fmt) as dataset:
        if len(dataset.names) > 1:
            raise InputError(
                f"{path} holds {len(dataset.names)} clips: make folders of them (napari-amodal "
                "convert --to tabe51) and open one"
            )
        found = dataset.read(0)
        if found.images is None:
            raise InputError(
                f"the frames of {path} are not beside it: {found.frame_names[0]} should be there, "
                "or in images/"
            )
        headers = tuple(read_header(image) for image in found.images)
        size = f"{found.width}x{found.height}"
        for image, header in zip(found.images, headers, strict=True):
            if header.size != size:
                raise InputError(f"{image} is {header.size}, the dataset says {size}")
        clip = clip_over(safe_name(found.folder_name), ImageFolder(found.images, headers), path)
        layers = [layer for one in found.objects for layer in _layers(clip, one)]
        return clip, [*_box_layers(found.objects), *layers]


def _box_layers(objects: Sequence[ClipObject]) -> list[LayerTuple]:
    """The boxes of all objects, a layer for the whole ones and one for what is seen of them."""
    layers: list[LayerTuple] = []
    for role in (LayerRole.AMODAL, LayerRole.VISIBLE):
        drawn = [
            (frame, box, one.number)
            for one in objects
            for frame, box in _boxes_of(one, role).items()
        ]
        if not drawn:
            continue
        settings = {
            "name": f"{role} boxes",
            "shape_type": "rectangle",
            "features": {"object": [number for _, _, number in drawn]},
            "edge_color": label_colors(role).colors[1],
            "edge_width": 2,
            "face_color": "transparent",
            "axis_labels": ("frame", "y", "x"),
        }
        layers.append(([_corners(frame, box) for frame, box, _ in drawn], settings, "shapes"))
    return layers


def _boxes_of(found: ClipObject, role: LayerRole) -> Mapping[int, Box]:
    return found.amodal_boxes if role is LayerRole.AMODAL else found.visible_boxes


def _corners(frame: int, box: Box) -> NDArray[np.float64]:
    """A box around its pixels, whose middles lie on whole numbers, ``(4, 3)``."""
    y0, x0, y1, x1 = box.y0 - 0.5, box.x0 - 0.5, box.y1 - 0.5, box.x1 - 0.5
    return np.array([(frame, y0, x0), (frame, y0, x1), (frame, y1, x1), (frame, y1, x0)])


def _layers(clip: Clip, found: ClipObject) -> list[LayerTuple]:
    annotation = _annotation(clip, found)
    layers = []
    for role in (LayerRole.AMODAL, LayerRole.VISIBLE):
        if not (found.amodal if role is LayerRole.AMODAL else found.visible):
            continue
        labels, settings, kind = labels_layer(clip, annotation, role)
        origin = LayerOrigin(role, clip, found.number, annotation)
        settings |= {"name": f"{role} [{found.number}]", "metadata": origin.as_metadata()}
        layers.append((labels, settings, kind))
    return layers


def _annotation(clip: Clip, found: ClipObject) -> Annotation:
    given = (Origin.GIVEN,) * len(clip)
    levels = {frame: one.level for frame, one in found.occlusion.items()}
    return Annotation(
        visible=_stack(clip, found.visible),
        amodal=_stack(clip, found.amodal),
        visible_origin=given,
        amodal_origin=given,
        confidence=np.ones(len(clip), np.float32),
        leaving=frozenset(f for f, level in levels.items() if level is OcclusionLevel.NONE),
    )


def _stack(clip: Clip, masks: Mapping[int, Mask]) -> MaskStack:
    none = np.zeros((clip.height, clip.width), np.bool_)
    frames = (masks.get(frame, none) for frame in range(len(clip)))
    return MaskStack(frames, clip.height, clip.width)


def write_coco_file(path: Path, clip: Clip, annotations: Mapping[int, Annotation]) -> None:
    """Write the masks of a clip to a COCO file, beside and renamed; the frames are not copied."""
    objects = tuple(
        ClipObject(
            number,
            visible=StackMasks(one.visible),
            amodal=StackMasks(one.amodal),
            occlusion=dict(enumerate(one.occlusion)),
        )
        for number, one in annotations.items()
    )
    found = DatasetClip(clip.name, clip.height, clip.width, _frame_names(clip, path), objects)
    fragment = coco_parts(found)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        new = Path(folder) / path.name
        with json_parts(LISTS) as parts:
            parts.add(fragment)
            parts.write(new, {"info": {"description": "written by napari-amodal"}})
        new.replace(path)


def _frame_names(clip: Clip, path: Path) -> tuple[str, ...]:
    """The frames' files from the folder of the COCO file on, where they lie in it."""
    origin = origin_of(clip.frames)
    files = origin.source.files if origin and isinstance(origin.source, ImageFolder) else ()
    folder = path.absolute().parent
    if files and all(file.is_relative_to(folder) for file in files):
        return tuple(file.relative_to(folder).as_posix() for file in files)
    return tuple(f"{clip.name}/{frame:05d}.jpg" for frame in range(len(clip)))
