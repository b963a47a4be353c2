"""The learned tracker with the weights that are shipped, on small made scenes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from test_flow_tracker import HEIGHT, WIDTH, Scene, disc, quality, scene

from napari_amodal.draft.memory_tracker import MemorySettings, MemoryTracker
from napari_amodal.errors import Cancelled
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Query, VisibleTrack


def track(made: Scene, query: Query, **settings: int) -> VisibleTrack:
    tracker = MemoryTracker(MemorySettings(**settings))
    return tracker.track(made.clip, {1: query}, Watch())[1]


def test_a_moving_object_is_followed() -> None:
    made = scene([lambda t: (55 + t, 40 + 5 * t)], 20)
    found = track(made, made.query(0))
    assert quality(made, found, range(1, 20)) > 0.85
    assert np.array_equal(found.masks[0], made.visible[0][0])
    assert found.confidence[0] == 1
    assert found.confidence.dtype == np.float32
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1


def test_an_occluder_that_crosses_is_left_out_and_the_object_comes_back_whole() -> None:
    made = scene([lambda t: (60, 90 + 2 * t)], 26, bar=lambda t: (10 + 8 * t, 40 + 8 * t))
    found = track(made, made.query(0))
    assert quality(made, found, range(1, 26)) > 0.8
    assert quality(made, found, range(22, 26)) > 0.8
    inside = sum(int((found.masks[t] & made.occluder[t]).sum()) for t in range(26))
    assert inside < 0.05 * found.masks.areas.sum()


def test_a_fully_hidden_object_has_an_empty_mask_and_is_found_again() -> None:
    made = scene([lambda t: (60, 35 + 5 * t)], 28, bar=lambda _: (75, 145))
    hidden = [t for t in range(28) if not made.visible[0][t].any()]
    assert len(hidden) >= 3
    found = track(made, made.query(0))
    assert [t for t in hidden if found.masks[t].any()] == []
    assert quality(made, found, range(1, hidden[0])) > 0.7
    assert quality(made, found, range(hidden[-1] + 6, 28)) > 0.7


def test_an_object_that_left_the_frame_has_an_empty_mask() -> None:
    made = scene([lambda t: (60, 120 + 9 * t)], 16)
    found = track(made, made.query(0))
    gone = [t for t in range(16) if not made.visible[0][t].any()]
    assert len(gone) >= 3
    assert [t for t in gone if found.masks[t].any()] == []
    assert quality(made, found, range(1, 10)) > 0.7


def test_a_query_in_the_middle_is_followed_both_ways() -> None:
    made = scene([lambda t: (55 + t, 40 + 5 * t)], 20)
    found = track(made, made.query(10))
    assert quality(made, found, range(10)) > 0.85
    assert quality(made, found, range(11, 20)) > 0.85


def test_each_query_mask_is_kept_as_it_is_even_where_it_is_wrong() -> None:
    made = scene([lambda t: (60, 40 + 5 * t)], 8)
    wrong = disc(60, 115, 10, 10, HEIGHT, WIDTH)
    found = track(made, Query({2: made.visible[0][2], 6: wrong}))
    assert np.array_equal(found.masks[2], made.visible[0][2])
    assert np.array_equal(found.masks[6], wrong)
    assert found.confidence[2] == found.confidence[6] == 1


def test_an_empty_query_mask_says_that_the_object_is_out_of_sight() -> None:
    made = scene([lambda t: (60, 40 + 5 * t)], 8)
    nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
    found = track(made, Query({0: made.visible[0][0], 7: nothing}))
    assert not found.masks[7].any()
    assert quality(made, found, range(1, 5)) > 0.7


def test_objects_are_followed_apart() -> None:
    made = scene([lambda t: (40, 30 + 6 * t), lambda t: (85, 150 - 6 * t)], 14)
    queries = {3: made.query(0), 8: made.query(0, of=1)}
    found = MemoryTracker(MemorySettings()).track(made.clip, queries, Watch())
    assert quality(made, found[3], range(1, 14)) > 0.8
    assert quality(made, found[8], range(1, 14), of=1) > 0.8


def test_settings_of_any_size_in_their_bounds_work() -> None:
    made = scene([lambda t: (55, 60 + 4 * t)], 5)
    for crop in (128, 160, 257):
        assert quality(made, track(made, made.query(0), crop=crop, memory=0), range(1, 5)) > 0.7
    for field in fields(MemorySettings):
        assert field.metadata["min"] <= field.default <= field.metadata["max"]


def test_progress_ends_at_the_whole_and_a_cancel_stops_it() -> None:
    made = scene([lambda t: (55, 60 + 4 * t)], 6)
    told: list[Progress] = []
    MemoryTracker(MemorySettings()).track(made.clip, {1: made.query(0)}, Watch(told.append))
    assert (told[-1].done, told[-1].total) == (6, 6)
    with pytest.raises(Cancelled):
        watch = Watch(None, lambda: True)
        MemoryTracker(MemorySettings()).track(made.clip, {1: made.query(0)}, watch)


def test_another_thing_that_appears_is_not_taken_for_an_object_that_is_gone() -> None:
    """The object stays behind the bar; a thing of another look comes out on the far side."""
    made = scene(
        [lambda t: (60, min(35 + 5 * t, 110)), lambda t: (60, 110 + max(0, 5 * (t - 12)))],
        26,
        bar=lambda _: (75, 145),
    )
    gone = [t for t in range(26) if not made.visible[0][t].any()]
    assert made.visible[1][25].sum() > 500
    found = track(made, made.query(0))
    assert [t for t in gone if found.masks[t].any()] == []
