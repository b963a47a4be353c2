"""What a stroke makes of an annotation."""

from __future__ import annotations

from collections.abc import Mapping

from napari_amodal.annotation.clip_annotation import ClipAnnotation, new_object
from napari_amodal.annotation.object_annotation import ObjectAnnotation, corrected, with_query
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.widgets.layer_origin import LayerRole


def painted(
    state: ClipAnnotation, object_id: int, role: LayerRole, masks: Mapping[int, Mask]
) -> ObjectAnnotation | None:
    """The object with painted masks; None where nothing is different."""
    if role is LayerRole.QUERY:
        return with_queries(state, object_id, masks)
    annotated = state.objects[object_id]
    is_visible = role is LayerRole.VISIBLE
    if _same(annotated.visible if is_visible else annotated.amodal, masks):
        return None
    return corrected(
        annotated,
        masks if is_visible else {},
        {} if is_visible else masks,
        contain_visible=state.amodal_contains_visible,
    )


def with_queries(
    state: ClipAnnotation, object_id: int, masks: Mapping[int, Mask]
) -> ObjectAnnotation | None:
    """The object, made if it is not there, with queries; None where nothing is different."""
    before = state.objects.get(object_id) or new_object(object_id, state.shape)
    annotated = before
    for frame, mask in masks.items():
        is_there = frame in annotated.query_frames
        if is_there and _same(annotated.query, {frame: mask}):
            continue
        if mask.any() or is_there:
            annotated = with_query(annotated, frame, mask if mask.any() else None)
    return None if annotated is before else annotated


def _same(stack: MaskStack, masks: Mapping[int, Mask]) -> bool:
    after = stack.replaced(masks)
    return all(stack.same_frame(after, frame) for frame in masks)


def frames_told(frames: list[int]) -> str:
    """``frame 3``, ``frames 3 to 9``, ``12 frames`` where they are no range."""
    if len(frames) == 1:
        return f"frame {frames[0]}"
    if frames and frames[-1] - frames[0] + 1 == len(frames):
        return f"frames {frames[0]} to {frames[-1]}"
    return f"{len(frames)} frames"
