"""Clicks and boxes on the command line become the tracker's prompts, object by object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.boxes import Box
from napari_amodal.cli.clicks import ClickChoice, find_clicks
from napari_amodal.cli.queries import QueryChoice, find_queries
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.stages import Clicks

CLIP = clip_from_array(np.zeros((9, 48, 64, 3), np.uint8))


@pytest.fixture
def clip() -> Clip:
    return CLIP


def test_points_and_boxes_of_several_objects(clip: Clip) -> None:
    choice = ClickChoice(
        ["0:20,30", "0:22.5,31", "2@8:1,2"], ["0:5,6"], ["4:10,12,20,24", "2@8:0,0,48,64"]
    )
    assert find_clicks(clip, choice) == {
        1: {
            0: Clicks(((20.0, 30.0), (22.5, 31.0)), ((5.0, 6.0),)),
            4: Clicks(box=Box(10, 12, 20, 24)),
        },
        2: {8: Clicks(((1.0, 2.0),), box=Box(0, 0, 48, 64))},
    }


def test_clicked_objects_are_queries_without_masks(clip: Clip) -> None:
    clicks = find_clicks(clip, ClickChoice(["2@3:4,5", "7@1:6,7"]))
    queries = find_queries(clip, None, QueryChoice(None, None, None, clicks))
    assert list(queries) == [2, 7] and queries[2].frame == 3 and not queries[7].visible
    assert list(find_queries(clip, None, QueryChoice(None, None, 7, clicks))) == [7]


@given(
    st.integers(1, 99),
    st.integers(0, 8),
    st.floats(0, 48, allow_nan=False).map(lambda y: round(y, 3)),
    st.floats(0, 64, allow_nan=False).map(lambda x: round(x, 3)),
)
def test_what_is_written_is_what_is_clicked(object_id: int, frame: int, y: float, x: float) -> None:
    found = find_clicks(CLIP, ClickChoice([f"{object_id}@{frame}:{y:.3f}, {x:.3f}"]))
    assert found == {object_id: {frame: Clicks(((y, x),))}}
