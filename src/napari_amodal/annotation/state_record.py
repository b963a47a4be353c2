"""A state of the work as JSON, with its masks in blocks beside it; docs/session.md describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.json_fields import Fields, runs_of
from napari_amodal.annotation.object_annotation import CONSENSUS, ObjectAnnotation
from napari_amodal.boxes import Box
from napari_amodal.export import Origin
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack
from napari_amodal.stages import Clicks, Hypothesis

#: Says where the blocks of a stack are written: one name a block, None for an empty one.
WriteStack = Callable[[MaskStack], list[str | None]]
#: Gives the stack of such a list for a clip of a shape ``(T, H, W)``.
ReadStack = Callable[[list[Any], tuple[int, int, int]], MaskStack]


def state_record(state: ClipAnnotation, write: WriteStack) -> dict[str, Any]:
    """The JSON object of a state; `write` is called with each of its stacks."""
    return {
        "shape": list(state.shape),
        "engine": state.engine,
        "settings": {stage: dict(values) for stage, values in state.settings.items()},
        "amodal_contains_visible": state.amodal_contains_visible,
        "objects": [_object_record(i, found, write) for i, found in state.objects.items()],
    }


def _object_record(object_id: int, found: ObjectAnnotation, write: WriteStack) -> dict[str, Any]:
    return {
        "id": object_id,
        "name": found.name,
        "color": found.color,
        "is_shown": found.is_shown,
        "visible": write(found.visible),
        "amodal": write(found.amodal),
        "visible_origin": runs_of(found.visible_origin),
        "amodal_origin": runs_of(found.amodal_origin),
        "confidence": list(found.confidence),
        "query": write(found.query),
        "query_frames": sorted(found.query_frames),
        "clicks": {str(frame): _clicks_record(found.clicks[frame]) for frame in found.clicks},
        "locked": sorted(found.locked),
        "fresh": sorted(found.fresh),
        "levels": {str(frame): level.name for frame, level in found.levels.items()},
        "leaving": sorted(found.leaving),
        "hypotheses": [{"score": h.score, "amodal": write(h.amodal)} for h in found.hypotheses],
        "picks": runs_of(found.picks),
    }


def _clicks_record(clicks: Clicks) -> dict[str, Any]:
    box = clicks.box
    return {
        "inside": [list(point) for point in clicks.inside],
        "outside": [list(point) for point in clicks.outside],
        "box": None if box is None else [box.y0, box.x0, box.y1, box.x1],
    }


def state_of(record: Mapping[str, Any], where: str, read: ReadStack) -> ClipAnnotation:
    """The state of a JSON object.

    Parameters
    ----------
    record : mapping
    where : str
        The file, for messages.
    read : callable
        Gives the stacks; raises `InputError` for one that is broken.

    Raises
    ------
    InputError
        A field is not what it should be; the message names it.
    """
    fields = Fields(record, where)
    shape = fields.entries("shape")
    if len(shape) != 3 or not all(isinstance(n, int) and 0 < n < 2**31 for n in shape):
        fields.fault("shape", "frames, height and width")
    full = (shape[0], shape[1], shape[2])
    settings = fields.inner("settings").data
    if not all(isinstance(values, dict) for values in settings.values()):
        fields.fault("settings", "an object of objects")
    objects: dict[int, ObjectAnnotation] = {}
    for own in fields.objects("objects"):
        objects[own.whole("id", least=1)] = _object_of(own, full, read)
    return ClipAnnotation(
        full,
        MappingProxyType(dict(sorted(objects.items()))),
        fields.text("engine"),
        MappingProxyType({stage: MappingProxyType(values) for stage, values in settings.items()}),
        fields.flag("amodal_contains_visible"),
    )


def _object_of(own: Fields, shape: tuple[int, int, int], read: ReadStack) -> ObjectAnnotation:
    count = shape[0]
    confidence = own.numbers("confidence")
    if len(confidence) != count:
        own.fault("confidence", f"about {count} frames")
    hypotheses = tuple(
        Hypothesis(read(found.entries("amodal"), shape), found.number("score"))
        for found in own.objects("hypotheses")
    )
    return ObjectAnnotation(
        name=own.text("name"),
        color=own.text("color"),
        visible=read(own.entries("visible"), shape),
        amodal=read(own.entries("amodal"), shape),
        visible_origin=_origins(own, "visible_origin", count),
        amodal_origin=_origins(own, "amodal_origin", count),
        confidence=confidence,
        query=read(own.entries("query"), shape),
        query_frames=own.frames("query_frames", count),
        clicks=MappingProxyType(_clicks_by_frame(own, count)),
        locked=own.frames("locked", count),
        fresh=own.frames("fresh", count),
        levels=MappingProxyType(_levels(own, count)),
        leaving=own.frames("leaving", count),
        hypotheses=hypotheses,
        picks=_picks(own, count, len(hypotheses)),
        is_shown=own.flag("is_shown"),
    )


def _origins(own: Fields, name: str, count: int) -> tuple[Origin, ...]:
    known: dict[Any, Origin] = {str(origin): origin for origin in Origin}
    values = own.runs(name, count)
    if not all(isinstance(value, str) and value in known for value in values):
        own.fault(name, f"a list of {', '.join(known)}")
    return tuple(known[value] for value in values)


def _picks(own: Fields, count: int, hypotheses: int) -> tuple[int, ...]:
    values = own.runs("picks", count)
    known = {CONSENSUS, 0, *range(hypotheses)}
    if not all(type(value) is int and value in known for value in values):
        own.fault("picks", f"about {hypotheses} hypotheses")
    return values


def _levels(own: Fields, count: int) -> dict[int, OcclusionLevel]:
    names = own.by_frame("levels", count)
    if not all(isinstance(n, str) and n in OcclusionLevel.__members__ for n in names.values()):
        own.fault("levels", f"a choice of {', '.join(OcclusionLevel.__members__)}")
    return {frame: OcclusionLevel[name] for frame, name in sorted(names.items())}


def _clicks_by_frame(own: Fields, count: int) -> dict[int, Clicks]:
    given = own.by_frame("clicks", count)
    return {frame: _clicks(own, value) for frame, value in sorted(given.items())}


def _clicks(own: Fields, value: object) -> Clicks:
    if not isinstance(value, dict):
        own.fault("clicks", "an object for each frame")
    fields = Fields(value, f"{own.where}, clicks")
    box = fields.data.get("box")
    try:
        return Clicks(
            _points(fields, "inside"),
            _points(fields, "outside"),
            None if box is None else Box(*map(int, fields.numbers("box"))),
        )
    except (TypeError, ValueError) as error:
        own.fault("clicks", f"points and a box ({error})")


def _points(fields: Fields, name: str) -> tuple[tuple[float, float], ...]:
    points = [Fields({name: point}, fields.where).numbers(name) for point in fields.entries(name)]
    if not all(len(point) == 2 for point in points):
        fields.fault(name, "a list of [y, x]")
    return tuple((point[0], point[1]) for point in points)
