"""Chunks against the published ones, and what holds for any clip."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.levels import OcclusionLevel
from napari_amodal.tabe.chunks import LONGEST, ONE_CHUNK, OVERLAP, chunks_of


def test_equal_to_the_published_chunks(shared: Path) -> None:
    cases = json.loads((shared / "reference" / "pipeline_goldens.json").read_text())["chunks"]
    assert len(cases) == 18
    for case in cases:
        levels = [OcclusionLevel[level] for level in case["levels"]]
        assert [list(chunk) for chunk in chunks_of(levels)] == case["chunks"]


levels = st.lists(
    st.tuples(st.sampled_from(OcclusionLevel), st.integers(1, 90)), min_size=1, max_size=8
).map(lambda runs: [level for level, length in runs for _ in range(length)])


@given(levels)
def test_chunks_hold_every_frame_and_fit_the_model(given_levels: list[OcclusionLevel]) -> None:
    chunks = chunks_of(given_levels)
    assert sorted({frame for chunk in chunks for frame in chunk}) == list(range(len(given_levels)))
    assert all(len(chunk) <= max(LONGEST, ONE_CHUNK) for chunk in chunks)
    assert all(a.start <= b.start for a, b in pairwise(chunks))


def test_an_object_hidden_for_long_is_parted_with_overlap() -> None:
    hidden = [OcclusionLevel.SEVERE_OCCLUSION] * 200
    chunks = chunks_of([OcclusionLevel.NO_OCCLUSION, *hidden])
    assert chunks[0].start == 0
    assert chunks[-1].stop == 201
    assert all(b.start <= a.stop - OVERLAP for a, b in pairwise(chunks))
