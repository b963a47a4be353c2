"""Where the work on a clip begins: with nothing, or with the masks that came with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from napari.layers import Image, Labels, Layer

from napari_amodal.annotation.clip_annotation import ClipAnnotation, new_object, with_object
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import rounded
from napari_amodal.clip import Clip
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole, origin_of

Given = Sequence[tuple[Labels, LayerOrigin]]


def given_layers(stack: Image, layers: Iterable[Layer]) -> Given:
    """The layers with masks that were opened together with a frame stack, by object in pairs."""
    origin = origin_of(stack.metadata)
    if origin is None:
        return ()
    found: dict[int, dict[LayerRole, tuple[Labels, LayerOrigin]]] = {}
    for layer in layers:
        given = origin_of(layer.metadata)
        if not isinstance(layer, Labels) or given is None or given.object_id is None:
            continue
        if given.clip is origin.clip and given.annotation is not None and not given.is_from_run:
            found.setdefault(given.object_id, {})[given.role] = layer, given
    return [pair for by_role in found.values() if len(by_role) == 2 for pair in by_role.values()]


def begin_history(clip: Clip, given: Given) -> History:
    """A history that begins with the masks of some layers."""
    state = ClipAnnotation((len(clip), clip.height, clip.width))
    for _, origin in given:
        assert origin.object_id is not None and origin.annotation is not None
        if origin.object_id in state.objects:
            continue
        annotation = origin.annotation
        annotated = replace(
            new_object(origin.object_id, state.shape),
            visible=annotation.visible,
            amodal=annotation.amodal,
            visible_origin=annotation.visible_origin,
            amodal_origin=annotation.amodal_origin,
            confidence=rounded(annotation.confidence.tolist()),
            leaving=annotation.leaving,
            levels=annotation.levels,
        )
        state = with_object(state, origin.object_id, annotated)
    return History.begin(state, "Open")


def was_followed(layer: Layer, stack: Image) -> bool:
    """Whether a layer showed the annotation of a stack in a panel that is closed now."""
    origin, own = origin_of(layer.metadata), origin_of(stack.metadata)
    if origin is None or not origin.is_followed:
        return False
    return origin.clip.name == stack.name if own is None else origin.clip is own.clip
