"""Crops that follow an object: what the network sees of a frame, and the way back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.draft.memory_crop import Crop
from napari_amodal.draft.memory_network import MEAN, cell_places

HEIGHT, WIDTH = 90, 160


def crops() -> st.SearchStrategy[Crop]:
    """Crops of all sizes, inside the frame and beyond it."""
    return st.builds(
        Crop, st.integers(-80, 90), st.integers(-80, 150), st.integers(20, 200), st.just(64)
    )


@given(crops())
def test_what_lies_beyond_the_frame_is_grey(crop: Crop) -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    picture = crop.picture(white)
    everywhere = np.ones((HEIGHT, WIDTH), np.bool_)
    inside = crop.shrink(everywhere)
    assert picture.shape == (1, 3, 64, 64)
    assert np.all(np.abs(picture[0, :, inside == 0]) < 0.01)
    assert np.all(picture[0, :, inside == 1] > 1.5)
    assert abs(MEAN - 114 / 255) < 1e-3


@given(crops(), st.integers(10, 60), st.integers(10, 120))
def test_a_mask_comes_back_where_it_was(crop: Crop, y: int, x: int) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + 24, x : x + 24] = True
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[max(crop.y, 0) : crop.y + crop.side, max(crop.x, 0) : crop.x + crop.side] = True
    if min(crop.y, crop.x) + crop.side <= 0:
        inside[:] = False
    found = crop.enlarge(crop.shrink(mask), HEIGHT, WIDTH) > 0.5
    wrong = found ^ (mask & inside)
    # A pixel of the crop, along the outline.
    assert wrong.sum() <= 110 * max(1.0, crop.side / crop.seen)


@given(crops(), crops())
def test_places_are_the_same_points_of_the_frame(one: Crop, other: Crop) -> None:
    def points(crop: Crop, places: np.ndarray) -> np.ndarray:
        return np.asarray(places * crop.side / 2 + crop.centre)

    places = cell_places(64)
    moved = one.places_in(other, places)
    assert moved.shape == (1, 64, 2)
    np.testing.assert_allclose(points(other, moved), points(one, places), atol=1e-2)


def test_cells_lie_in_reading_order() -> None:
    places = cell_places(32)
    np.testing.assert_allclose(places[0, :2], [[-0.75, -0.75], [-0.75, -0.25]])
    np.testing.assert_allclose(places[0, -1], [0.75, 0.75])
