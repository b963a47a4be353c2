"""Masks from clicks and boxes, on pictures in which the object is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import disk

from napari_amodal.annotation.clicking import mask_from_clicks
from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask, iou
from napari_amodal.stages import Clicks

HEIGHT, WIDTH = 180, 320


def picture(mask: Mask) -> Frame:
    """A warm, mottled thing on cold, mottled ground."""
    random = np.random.default_rng(1)
    noise = random.normal(0, 14, (*mask.shape, 3))
    colours = np.where(mask[..., None], (190.0, 120.0, 60.0), (70.0, 100.0, 130.0))
    soft = cv2.GaussianBlur(colours + noise, (0, 0), 1.0)
    return np.clip(soft, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("radius", [9, 30, 70])
def test_one_click_finds_a_thing_of_any_size(radius: int) -> None:
    true = disk(HEIGHT, WIDTH, 90, 150, radius)
    found = mask_from_clicks(picture(true), Clicks(((90.0, 150.0),)))
    assert iou(found, true) > 0.85


def test_a_box_finds_the_thing_in_it() -> None:
    true = disk(HEIGHT, WIDTH, 90, 100, 30) | disk(HEIGHT, WIDTH, 90, 140, 25)
    other = disk(HEIGHT, WIDTH, 90, 280, 25)
    found = mask_from_clicks(picture(true | other), Clicks(box=box_of(true)))
    assert iou(found, true) > 0.9


def test_a_click_beside_takes_away() -> None:
    one, other = disk(HEIGHT, WIDTH, 90, 100, 25), disk(HEIGHT, WIDTH, 90, 144, 25)
    both, box = picture(one | other), box_of(one | other)
    before = mask_from_clicks(both, Clicks(box=box))
    assert (before & other).sum() > 0.8 * other.sum()
    told = mask_from_clicks(both, Clicks(((90.0, 100.0),), ((90.0, 144.0),), box))
    assert told[90, 100]
    assert not told[90, 144]


def test_clicks_of_both_kinds_close_together_are_both_kept() -> None:
    frame = picture(disk(HEIGHT, WIDTH, 90, 150, 30))
    found = mask_from_clicks(frame, Clicks(((90.0, 150.0),), ((90.0, 153.0),)))
    assert found[90, 150]
    assert not found[90, 153]


def test_the_same_clicks_give_the_same_mask() -> None:
    frame = picture(disk(HEIGHT, WIDTH, 90, 150, 30))
    clicks = Clicks(((90.0, 150.0),))
    first = mask_from_clicks(frame, clicks)
    cv2.setRNGSeed(99)
    assert np.array_equal(mask_from_clicks(frame, clicks), first)


points = st.tuples(st.floats(-5, 70), st.floats(-5, 90))
boxes = st.builds(
    lambda y, x, h, w: Box(y, x, y + h, x + w),
    st.integers(-20, 70),
    st.integers(-20, 90),
    st.integers(1, 90),
    st.integers(1, 90),
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(points, min_size=1, max_size=3).map(tuple),
    st.lists(points, max_size=2).map(tuple),
    st.none() | boxes,
    st.booleans(),
)
def test_any_clicks_give_a_mask_of_the_frames_size(
    inside: tuple[tuple[float, float], ...],
    outside: tuple[tuple[float, float], ...],
    box: Box | None,
    plain: bool,
) -> None:
    frame = picture(disk(64, 80, 30, 40, 14))
    if plain:
        frame[:] = 77
    mask = mask_from_clicks(frame, Clicks(inside, outside, box))
    assert mask.shape == (64, 80)
    assert mask.dtype == np.bool_
