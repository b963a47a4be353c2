"""When an object is leaving the frame, or gone."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.boxes import Box
from napari_amodal.draft.leaving import frames_leaving
from napari_amodal.masks import MaskStack
from napari_amodal.tabe.occlusion_leaving import frames_gone

HEIGHT, WIDTH = 40, 60
INSIDE = Box(10, 20, 20, 30)
BORDER = Box(10, 0, 20, 8)


def gone(
    seen: Sequence[Box | None],
    clear: int | None = None,
    whole: Sequence[Box | None] | None = None,
    amounts: Sequence[float | None] | None = None,
) -> list[int]:
    found = frames_gone(
        seen,
        whole or seen,
        amounts or [0.0] * len(seen),
        [] if clear is None else [clear],
        HEIGHT,
        WIDTH,
    )
    return sorted(found)


def test_leaving_lasts_from_the_border_on() -> None:
    assert gone([INSIDE, INSIDE, BORDER, BORDER, None, None]) == [2, 3, 4, 5]


def test_coming_lasts_until_the_border_is_left() -> None:
    assert gone([None, None, BORDER, BORDER, INSIDE]) == [0, 1, 2, 3]


def test_an_object_that_vanishes_inside_the_frame_is_hidden() -> None:
    assert gone([INSIDE, None, None, INSIDE]) == []


def test_touching_the_border_for_a_moment_is_not_leaving() -> None:
    assert gone([INSIDE, BORDER, INSIDE]) == []
    assert gone([INSIDE, BORDER, None]) == [1, 2]


def test_an_object_that_appears_whole_was_not_there_and_one_that_emerges_was() -> None:
    assert gone([None, None, INSIDE], amounts=[None, None, 0.1]) == [0, 1]
    assert gone([None, None, INSIDE], amounts=[1.0, 1.0, 0.8]) == []


def test_called_fully_visible_at_the_border_it_leaves_once_it_is_cut() -> None:
    assert gone([BORDER] * 4, clear=0) == []
    cut = Box(10, -10, 20, 8)
    assert gone([BORDER] * 4, clear=0, whole=[BORDER, BORDER, cut, cut]) == [2, 3]
    assert gone([BORDER, BORDER, None], clear=0, whole=[BORDER, cut, None]) == [1, 2]


places = st.lists(st.sampled_from([INSIDE, BORDER]), min_size=2, max_size=12)


@given(places)
def test_where_it_is_always_seen_the_published_rule_holds_from_the_first_inner_frame(
    seen: list[Box],
) -> None:
    stack = MaskStack.empty(len(seen), HEIGHT, WIDTH)
    masks = {}
    for frame, box in enumerate(seen):
        masks[frame] = stack[frame]
        masks[frame][box.slices] = True
    assert gone(seen) == sorted(frames_leaving(stack.replaced(masks)))
