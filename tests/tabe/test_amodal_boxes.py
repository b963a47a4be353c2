"""The amodal box of one frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.boxes import Box
from napari_amodal.tabe.amodal_boxes import amodal_box

HEIGHT, WIDTH = 60, 80


def boxes(height: int, width: int, beyond: int = 0) -> st.SearchStrategy[Box]:
    rows = st.lists(st.integers(-beyond, height + beyond), min_size=2, max_size=2, unique=True)
    columns = st.lists(st.integers(-beyond, width + beyond), min_size=2, max_size=2, unique=True)
    return st.builds(lambda y, x: Box(min(y), min(x), max(y), max(x)), rows, columns)


within = st.none() | boxes(HEIGHT, WIDTH)


@given(within, within, st.none() | boxes(HEIGHT, WIDTH, beyond=30))
def test_within_the_frame_it_is_the_box_of_what_is_seen_and_hidden(
    seen: Box | None, hidden: Box | None, whole: Box | None
) -> None:
    found = amodal_box(seen, hidden, whole, HEIGHT, WIDTH)
    parts = [part for part in (seen, hidden) if part is not None]
    if not parts:
        assert found is None
        return
    assert found is not None
    inside = parts[0].union(parts[-1])
    assert found.clipped(HEIGHT, WIDTH) == inside


def test_free_edges_are_the_object_s_own_whatever_shape_is_carried() -> None:
    seen, hidden = Box(10, 20, 30, 40), Box(12, 38, 28, 50)
    whole = Box(5, 15, 40, 60)
    assert amodal_box(seen, hidden, whole, HEIGHT, WIDTH) == Box(10, 20, 30, 50)


def test_beyond_a_border_that_it_reaches_the_carried_shape_tells() -> None:
    seen = Box(10, 0, 30, 12)
    assert amodal_box(seen, None, Box(8, -25, 33, 14), HEIGHT, WIDTH) == Box(10, -25, 30, 12)
    assert amodal_box(seen, None, None, HEIGHT, WIDTH) == seen


def test_every_side_of_the_frame() -> None:
    seen = Box(0, 0, HEIGHT, WIDTH)
    whole = Box(-3, -4, HEIGHT + 5, WIDTH + 6)
    assert amodal_box(seen, None, whole, HEIGHT, WIDTH) == whole
