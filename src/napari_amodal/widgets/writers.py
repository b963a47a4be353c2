"""Saving Labels layers as TABE-51 folders, for File > Save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.engine import Completion
from napari_amodal.errors import InputError
from napari_amodal.export import Annotation, Origin, export
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.dataset_clip import write_coco_file
from napari_amodal.widgets.layer_clip import clip_of
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole, origin_of
from napari_amodal.widgets.query_layer import painted_labels

LayerTuple = tuple[Any, dict[str, Any], str]

MASK_ROLES = (LayerRole.VISIBLE, LayerRole.AMODAL)


class SaveError(RuntimeError):
    """The layers cannot be saved as a TABE-51 folder.

    Not an `InputError`: napari takes a ValueError of a writer for "no writer found".
    """


def write_labels(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write a *visible* and an *amodal* Labels layer of each object to the folder `path`.

    Which layer is which is known for the layers that a run or a folder gave; of others the names
    tell (``visible ...``, ``amodal ...``). The frames are the saved Image layer, or those that the
    Labels layers belong to. A second object goes to ``path-1``, and so on.

    Raises
    ------
    SaveError
        It is unclear which layer is what, the sizes do not fit, or the folder is there already.
    """
    try:
        return _write(Path(path), layers)
    except InputError as error:
        raise SaveError(str(error)) from error


def write_coco(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write the masks of each object to one COCO file; the frames stay where they are.

    Raises
    ------
    SaveError
        As `write_labels`, or pycocotools is not installed.
    """
    try:
        annotated = annotated_layers(Path(path).with_suffix(""), layers)
        write_coco_file(Path(path), annotated.clip, annotated.annotations)
    except InputError as error:
        raise SaveError(str(error)) from error
    return [path]


@dataclass(frozen=True)
class Annotated:
    """What the saved layers hold."""

    clip: Clip
    annotations: dict[int, Annotation]
    completion: Completion | None


def _write(path: Path, layers: Sequence[LayerTuple]) -> list[str]:
    found = annotated_layers(path, layers)
    written = export(path.parent, found.clip, found.annotations, found.completion)
    return [str(folder) for folder in written]


def annotated_layers(path: Path, layers: Sequence[LayerTuple]) -> Annotated:
    """The frames and masks of the layers that are saved; `InputError` where they are unclear."""
    for _, settings, kind in layers:
        if kind not in ("image", "labels"):
            raise InputError(
                f"{settings['name']!r} is a {kind} layer, what is saved here is frames and masks: "
                "select the Image and Labels layers only, and save the selected layers"
            )
    found = [_mask_layer(data, settings) for data, settings, kind in layers if kind == "labels"]
    masks = [layer for layer in found if layer is not None]
    clip = replace(_clip(layers, masks), name=path.name)
    annotations = _annotations(clip, _paired(masks))
    completions = [layer.origin.completion for layer in masks if layer.origin]
    completion = completions[0] if completions else None
    if completion is not None and not set(annotations) <= set(completion.objects):
        completion = None
    return Annotated(clip, annotations, completion)


@dataclass(frozen=True)
class _MaskLayer:
    """A Labels layer whose role is known."""

    name: str
    labels: Any
    role: LayerRole
    origin: LayerOrigin | None

    def masks(self, object_id: int) -> MaskStack:
        _, height, width = self.labels.shape
        own = self.origin is not None and self.origin.object_id is not None
        frames = (np.asarray(frame) for frame in self.labels)
        return MaskStack(
            (frame != 0 if own else frame == object_id for frame in frames), height, width
        )

    def object_ids(self) -> set[int]:
        if self.origin is not None and self.origin.object_id is not None:
            return {self.origin.object_id}
        return {value for frame in self.labels for value in painted_labels(np.asarray(frame))}


def _mask_layer(labels: NDArray[Any], settings: dict[str, Any]) -> _MaskLayer | None:
    name, origin = settings["name"], origin_of(settings["metadata"])
    if origin is not None and origin.role is LayerRole.QUERY:
        return None
    if origin is not None and origin.role in MASK_ROLES:
        return _MaskLayer(name, labels, origin.role, origin)
    for role in MASK_ROLES:
        if name.lower().startswith(role):
            return _MaskLayer(name, labels, role, None)
    raise InputError(
        f"it is unclear what masks the Labels layer {name!r} holds: let its name begin with "
        "'visible' or 'amodal', or save without it"
    )


def _clip(layers: Sequence[LayerTuple], masks: Sequence[_MaskLayer]) -> Clip:
    images = [layer for layer in layers if layer[2] == "image"]
    if len(images) > 1:
        names = " and ".join(repr(settings["name"]) for _, settings, _ in images)
        raise InputError(f"{names} could both be the frames: select one of them")
    if images:
        layer = Layer.create(*images[0])
        assert isinstance(layer, Image)
        return clip_of(layer)
    for mask in masks:
        if mask.origin is not None:
            return mask.origin.clip
    raise InputError("the frames are missing: select the Image layer together with the masks")


def _paired(masks: Sequence[_MaskLayer]) -> dict[int, dict[LayerRole, _MaskLayer]]:
    """The two layers of each object."""
    found: dict[int, dict[LayerRole, _MaskLayer]] = {}
    for layer in masks:
        for object_id in layer.object_ids():
            taken = found.setdefault(object_id, {}).setdefault(layer.role, layer)
            if taken is not layer:
                raise InputError(
                    f"{taken.name!r} and {layer.name!r} both hold {layer.role} masks of object "
                    f"{object_id}: select one of them"
                )
    if not found:
        raise InputError("there are no masks to save: select the visible and the amodal layer")
    for object_id, roles in found.items():
        for role in MASK_ROLES:
            if role not in roles:
                raise InputError(
                    f"object {object_id} has no {role} masks: select its {role} layer, too"
                )
    return found


def _annotations(
    clip: Clip, pairs: dict[int, dict[LayerRole, _MaskLayer]]
) -> dict[int, Annotation]:
    return {
        object_id: _annotation(clip, object_id, roles[LayerRole.VISIBLE], roles[LayerRole.AMODAL])
        for object_id, roles in pairs.items()
    }


def _annotation(clip: Clip, object_id: int, visible: _MaskLayer, amodal: _MaskLayer) -> Annotation:
    expected = (len(clip), clip.height, clip.width)
    for layer in (visible, amodal):
        if tuple(layer.labels.shape) != expected:
            raise InputError(
                f"the masks in {layer.name!r} have shape {tuple(layer.labels.shape)}, the frames "
                f"{expected}"
            )
    masks = visible.masks(object_id), amodal.masks(object_id)
    origin = visible.origin
    if origin is not None and origin.annotation is not None:
        return origin.annotation.edited(*masks)
    given = (Origin.GIVEN,) * len(clip)
    certain = np.ones(len(clip), np.float32)
    return Annotation(*masks, given, given, certain, frozenset())
