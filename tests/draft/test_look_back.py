"""Gaps in a track: which are looked at again, and what is found there."""

from __future__ import annotations

import numpy as np
from test_flow_tracker import quality, scene

from napari_amodal.draft.both_ways import Found
from napari_amodal.draft.look_back import gaps, look_back
from napari_amodal.draft.memory_follower import Follower
from napari_amodal.draft.memory_network import network
from napari_amodal.draft.memory_tracker import MemorySettings, MemoryTracker
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch

ON, OFF = np.ones((2, 2), np.bool_), np.zeros((2, 2), np.bool_)


def found_gaps(seen: str, queries: dict[int, np.ndarray], sure: float = 0.9) -> list[range]:
    areas = np.array([int(mark == "x") for mark in seen])
    confidence = np.full(len(seen), sure, np.float32)
    return [gap.way for gap in gaps(areas, confidence, queries)]


def test_a_gap_is_gone_through_from_the_frames_beyond_it() -> None:
    assert found_gaps("xxx...xx", {0: ON}) == [range(5, 2, -1)]
    assert found_gaps("xx...xxx", {7: ON}) == [range(2, 5)]


def test_no_gap_where_nothing_is_found_again_or_it_is_not_trusted() -> None:
    assert found_gaps("xxx.....", {0: ON}) == []
    assert found_gaps("xxx...xx", {0: ON}, sure=0.3) == []


def test_gaps_between_queries_or_known_to_be_empty_are_left_alone() -> None:
    assert found_gaps("xxx...xx", {0: ON, 7: ON}) == []
    assert found_gaps("xxx.xx", {0: ON, 3: OFF}) == []


def test_each_gap_of_several_is_gone_through() -> None:
    assert found_gaps("x..xx.x", {0: ON}) == [range(2, 0, -1), range(5, 4, -1)]


def test_frames_on_which_it_was_not_found_are_filled() -> None:
    made = scene([lambda t: (55 + t, 40 + 5 * t)], 16)
    found = Found(
        MaskStack(made.visible[0], made.clip.height, made.clip.width), np.ones(16, np.float32)
    )
    empty = np.zeros((made.clip.height, made.clip.width), np.bool_)
    lost = range(6, 11)
    found.masks = found.masks.replaced(dict.fromkeys(lost, empty))
    found.confidence[lost] = 0.9  # sure that it is not there
    query = made.query(0).visible
    looked = list(look_back(made.clip, query, found, lambda: Follower(network(), 256, 2)))
    assert set(lost) <= set(looked) <= set(range(6, 16))
    assert quality(made, found.track, lost) > 0.8
    assert found.confidence[lost].min() > 0.4


def test_an_object_that_comes_back_is_found_soon() -> None:
    made = scene([lambda t: (60, 35 + 5 * t)], 30, bar=lambda _: (75, 145))
    areas = np.array([int(mask.sum()) for mask in made.visible[0]])
    hidden = np.flatnonzero(areas == 0)
    shown = [t for t in range(hidden[-1], 30) if areas[t] > 0.3 * areas.max()]
    found = MemoryTracker(MemorySettings()).track(made.clip, {1: made.query(0)}, Watch())[1]
    assert quality(made, found, shown) > 0.7
    assert [t for t in hidden if found.masks[t].any()] == []
