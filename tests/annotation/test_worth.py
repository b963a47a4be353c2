"""Which frames are worth a look."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.annotation.worth import APART, LEAST_DOUBT, flicker, next_worst, worst_first

doubts = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.float32)
)


@given(doubts)
def test_the_worst_come_first_and_stand_apart(doubt: np.ndarray) -> None:
    order = worst_first(doubt)
    assert all(doubt[one] >= doubt[other] for one, other in pairwise(order))
    frames = sorted(order)
    assert all(other - one > APART for one, other in pairwise(frames))
    for frame in np.flatnonzero(doubt >= LEAST_DOUBT):
        assert any(abs(frame - at) <= APART and doubt[at] >= doubt[frame] for at in order)


def test_a_level_that_flips_for_one_frame_is_worth_a_look() -> None:
    levels = np.array([2, 2, 1, 2, 2, -1, 2, 1, 1, 0, 1], np.int8)
    settled = np.zeros(11, np.bool_)
    assert np.flatnonzero(flicker(levels, settled)).tolist() == [2, 9]
    settled[2] = True
    assert np.flatnonzero(flicker(levels, settled)).tolist() == [9]
    assert worst_first(flicker(levels, settled)) == [9]
    assert not flicker(levels[:2], settled[:2]).any()


def test_next_goes_round() -> None:
    doubt = np.zeros(40, np.float32)
    doubt[[5, 20, 33]] = 0.6, 0.9, 0.7
    assert next_worst(doubt, 0) == 20
    assert [next_worst(doubt, at) for at in (20, 33, 5)] == [33, 5, 20]
    assert next_worst(doubt, 20, back=True) == 5
    assert next_worst(np.zeros(9, np.float32), 3) is None
