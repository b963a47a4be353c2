"""All objects of a clip, and what can be done with them."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.errors import InputError
from napari_amodal.export import Annotation, Origin
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Hypothesis


def _no_settings() -> Mapping[str, Mapping[str, Any]]:
    return MappingProxyType({})


@dataclass(frozen=True)
class ClipAnnotation:
    """The state of the work on one clip; immutable.

    Attributes
    ----------
    shape : tuple of int
        ``(T, H, W)`` of the clip.
    objects : mapping of int to ObjectAnnotation
        By object id, from 1 on, in the order of the ids.
    engine : str
        Name of the engine that runs use.
    settings : mapping
        Settings that differ from the engine's: stage name to setting to value.
    amodal_contains_visible : bool
        Whether tools keep the amodal masks containing the visible ones.
    """

    shape: tuple[int, int, int]
    objects: Mapping[int, ObjectAnnotation] = field(default_factory=lambda: MappingProxyType({}))
    engine: str = "draft"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_settings)
    amodal_contains_visible: bool = True

    def annotations(self) -> dict[int, Annotation]:
        """What is exported, by object id (`napari_amodal.export.export`)."""
        return {object_id: found.annotation() for object_id, found in self.objects.items()}


def with_object(
    state: ClipAnnotation, object_id: int, annotated: ObjectAnnotation
) -> ClipAnnotation:
    """The state with one object changed or added."""
    objects = dict(state.objects) | {object_id: annotated}
    return replace(state, objects=MappingProxyType(dict(sorted(objects.items()))))


def with_new_object(state: ClipAnnotation, name: str = "") -> tuple[ClipAnnotation, int]:
    """The state with one more object, and its id: the first that is free from 1 on."""
    object_id = next(n for n in range(1, len(state.objects) + 2) if n not in state.objects)
    return with_object(state, object_id, new_object(object_id, state.shape, name)), object_id


def new_object(object_id: int, shape: tuple[int, int, int], name: str = "") -> ObjectAnnotation:
    """An object without masks on a clip of `shape` ``(T, H, W)``, in the colour of its id."""
    return ObjectAnnotation.empty(name or f"object {object_id}", color_of(object_id), shape)


def without_object(state: ClipAnnotation, object_id: int) -> ClipAnnotation:
    """The state without one object; the others keep their ids."""
    objects = {key: found for key, found in state.objects.items() if key != object_id}
    return replace(state, objects=MappingProxyType(objects))


def merged(state: ClipAnnotation, into: int, other: int) -> ClipAnnotation:
    """The state with two objects made one: `into` takes over `other`'s masks.

    Masks and hypotheses are united; frames that were locked in either are locked. What was painted
    or clicked as a query of either counts for the whole: the other's visible mask is added there.
    Name, colour and levels by hand are those of `into` where both have one.

    Raises
    ------
    InputError
        Both are the same object.
    """
    if into == other:
        raise InputError(f"object {into} cannot be merged with itself: choose another one")
    first, second = state.objects[into], state.objects[other]
    return with_object(without_object(state, other), into, _united(first, second))


def _united(first: ObjectAnnotation, second: ObjectAnnotation) -> ObjectAnnotation:
    visible = _union(first.visible, second.visible)
    pointed_at = (
        first.query_frames | first.clicks.keys() | second.query_frames | second.clicks.keys()
    )
    queries = {f: _queried(first, f) | _queried(second, f) for f in sorted(pointed_at)}
    return replace(
        first,
        visible=visible,
        amodal=_union(first.amodal, second.amodal),
        visible_origin=_origins(
            first.visible, first.visible_origin, second.visible, second.visible_origin
        ),
        amodal_origin=_origins(
            first.amodal, first.amodal_origin, second.amodal, second.amodal_origin
        ),
        confidence=tuple(map(min, first.confidence, second.confidence)),
        query=MaskStack.empty(*visible.shape).replaced(queries),
        query_frames=frozenset(queries),
        clicks=MappingProxyType({}),
        locked=first.locked | second.locked,
        fresh=first.fresh | second.fresh,
        levels=MappingProxyType(dict(sorted((dict(second.levels) | dict(first.levels)).items()))),
        leaving=first.leaving & second.leaving,
        hypotheses=_hypotheses(first, second),
    )


def _queried(annotated: ObjectAnnotation, frame: int) -> Mask:
    painted = frame in annotated.query_frames and frame not in annotated.locked
    return annotated.query[frame] if painted else annotated.visible[frame]


def _union(first: MaskStack, second: MaskStack) -> MaskStack:
    both = [
        frame
        for frame, boxes in enumerate(zip(first.boxes, second.boxes, strict=True))
        if None not in boxes
    ]
    alone = [frame for frame, box in enumerate(first.boxes) if box is None]
    return first.taking(second, alone).replaced({f: first[f] | second[f] for f in both})


def _origins(
    first: MaskStack,
    first_origin: tuple[Origin, ...],
    second: MaskStack,
    second_origin: tuple[Origin, ...],
) -> tuple[Origin, ...]:
    """For each frame `EDITED` if either is, else the origin of the one that has a mask there."""
    return tuple(
        Origin.EDITED if Origin.EDITED in (one, other) else other if box is None and there else one
        for box, there, one, other in zip(
            first.boxes, second.boxes, first_origin, second_origin, strict=True
        )
    )


def _hypotheses(first: ObjectAnnotation, second: ObjectAnnotation) -> tuple[Hypothesis, ...]:
    """Those of the same rank united; the best stands in where one object has fewer."""
    count = max(len(first.hypotheses), len(second.hypotheses))
    ones, others = _padded(first, count), _padded(second, count)
    return tuple(
        Hypothesis(_union(one.amodal, other.amodal), min(one.score, other.score))
        for one, other in zip(ones, others, strict=True)
    )


def _padded(annotated: ObjectAnnotation, count: int) -> tuple[Hypothesis, ...]:
    found = annotated.hypotheses
    best = found[0] if found else Hypothesis(annotated.amodal, 1.0)
    return found + (best,) * (count - len(found))


def color_of(object_id: int) -> str:
    """A colour for an object as ``#rrggbb``: hues far from those of the ids before."""
    hue = (0.58 + 0.381966 * (object_id - 1)) % 1.0  # the golden section
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
