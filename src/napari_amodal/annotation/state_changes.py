"""What differs between two states, for windows that show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.masks import MaskStack


def has_other_objects(before: ClipAnnotation, after: ClipAnnotation) -> bool:
    """Whether objects came or went, or have another name, colour or visibility."""
    return _outsides(before) != _outsides(after)


def _outsides(state: ClipAnnotation) -> list[tuple[int, str, str, bool]]:
    return [(i, found.name, found.color, found.is_shown) for i, found in state.objects.items()]


def changed_frames(before: ClipAnnotation, after: ClipAnnotation) -> dict[int, frozenset[int]]:
    """The frames of each object of which anything differs; all of an object that came."""
    found = {}
    for object_id, now in after.objects.items():
        old = before.objects.get(object_id)
        if old is now:
            continue
        frames = range(len(now)) if old is None else _changed(old, now)
        if frames:
            found[object_id] = frozenset(frames)
    return found


def _changed(old: ObjectAnnotation, now: ObjectAnnotation) -> set[int]:
    frames = set(_different(old.confidence, now.confidence))
    for before, after in (
        (old.visible_origin, now.visible_origin),
        (old.amodal_origin, now.amodal_origin),
        (old.picks, now.picks),
    ):
        frames.update(_different(before, after))
    for stack, other in _stacks(old, now):
        if stack is not other:
            frames.update(_different(stack.packed, other.packed))
    frames |= (old.locked ^ now.locked) | (old.fresh ^ now.fresh) | (old.leaving ^ now.leaving)
    frames |= old.query_frames ^ now.query_frames
    return frames | _other_keys(old.levels, now.levels) | _other_keys(old.clicks, now.clicks)


def _different(before: Sequence[Any], after: Sequence[Any]) -> Iterator[int]:
    if before is after:
        return iter(())
    pairs = enumerate(zip(before, after, strict=True))
    return (frame for frame, (old, new) in pairs if old is not new and old != new)


def _stacks(old: ObjectAnnotation, now: ObjectAnnotation) -> Iterator[tuple[MaskStack, MaskStack]]:
    yield old.visible, now.visible
    yield old.amodal, now.amodal
    yield old.query, now.query
    empty = MaskStack.empty(*now.visible.shape)
    for rank in range(max(len(old.hypotheses), len(now.hypotheses))):
        yield (
            old.hypotheses[rank].amodal if rank < len(old.hypotheses) else empty,
            now.hypotheses[rank].amodal if rank < len(now.hypotheses) else empty,
        )


def _other_keys(before: Mapping[int, Any], after: Mapping[int, Any]) -> set[int]:
    if before is after:
        return set()
    keys = before.keys() | after.keys()
    return {frame for frame in keys if before.get(frame) != after.get(frame)}
