"""States made for tests, by hand and by hypothesis."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.clip_reference import ClipReference
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import CONSENSUS, ObjectAnnotation
from napari_amodal.boxes import Box
from napari_amodal.export import Origin
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Clicks, Hypothesis


def disk(height: int, width: int, y: float, x: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:height, :width]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2, np.bool_)


def stacks(shape: tuple[int, int, int]) -> st.SearchStrategy[MaskStack]:
    return arrays(np.bool_, shape, fill=st.nothing() | st.just(False)).map(MaskStack.from_array)


@st.composite
def objects(draw: st.DrawFn, shape: tuple[int, int, int]) -> ObjectAnnotation:
    count = shape[0]
    frames = st.frozensets(st.integers(0, count - 1))
    one_a_frame = {"min_size": count, "max_size": count}
    origins = st.lists(st.sampled_from(Origin), **one_a_frame).map(tuple)
    point = st.tuples(st.floats(0, 500), st.floats(0, 500))
    clicks = st.builds(
        Clicks,
        st.lists(point, min_size=1, max_size=3).map(tuple),
        st.lists(point, max_size=2).map(tuple),
        st.none() | st.just(Box(1, 2, 7, 9)),
    )
    scored = st.builds(Hypothesis, stacks(shape), st.floats(0, 1))
    hypotheses = tuple(draw(st.lists(scored, max_size=3)))
    choices = st.sampled_from([CONSENSUS, *range(max(1, len(hypotheses)))])
    by_frame = st.integers(0, count - 1)
    return ObjectAnnotation(
        name=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        color="#00ff80",
        visible=draw(stacks(shape)),
        amodal=draw(stacks(shape)),
        visible_origin=draw(origins),
        amodal_origin=draw(origins),
        confidence=tuple(draw(st.lists(st.floats(0, 1), **one_a_frame))),
        query=draw(stacks(shape)),
        query_frames=draw(frames),
        clicks=MappingProxyType(dict(sorted(draw(st.dictionaries(by_frame, clicks)).items()))),
        locked=draw(frames),
        fresh=draw(frames),
        levels=MappingProxyType(
            dict(sorted(draw(st.dictionaries(by_frame, st.sampled_from(OcclusionLevel))).items()))
        ),
        leaving=draw(frames),
        hypotheses=hypotheses,
        picks=tuple(draw(st.lists(choices, **one_a_frame))),
        is_shown=draw(st.booleans()),
    )


@st.composite
def states(draw: st.DrawFn, shape: tuple[int, int, int] | None = None) -> ClipAnnotation:
    # more than a block of frames now and then
    counts = st.integers(1, 6) | st.just(130)
    full = shape or (draw(counts), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    found = draw(st.dictionaries(st.integers(1, 9), objects(full), max_size=2))
    value = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=5)
    settings = draw(st.dictionaries(st.just("flow"), st.dictionaries(st.just("memory"), value)))
    return ClipAnnotation(
        full,
        MappingProxyType(dict(sorted(found.items()))),
        "draft",
        MappingProxyType({stage: MappingProxyType(own) for stage, own in settings.items()}),
        draw(st.booleans()),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    first = draw(states())
    history = History.begin(first)
    for number in range(draw(st.integers(0, 3))):
        history = history.done(f"step {number}", draw(states(first.shape)))
    for _ in range(draw(st.integers(0, 2))):
        history = history.undone()
    return history


def reference(shape: tuple[int, int, int]) -> ClipReference:
    return ClipReference("clip", "/somewhere/clip.mp4", shape, "0" * 32)
