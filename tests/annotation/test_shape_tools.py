"""The geometry of masks against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made import disk
from scipy import ndimage

from napari_amodal.annotation.shape_tools import (
    centre_of,
    containing,
    similarity_about,
    smoothed,
    transformed,
    with_holes_filled,
    without_specks,
)
from napari_amodal.masks import iou

masks = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))
EIGHT = np.ones((3, 3), int)


@given(masks, st.data())
def test_amodal_contains_visible(amodal: np.ndarray, data: st.DataObject) -> None:
    visible = data.draw(arrays(np.bool_, amodal.shape))
    whole = containing(amodal, visible)
    assert (whole >= visible).all()
    assert np.array_equal(whole & ~visible, amodal & ~visible)


@given(masks, st.integers(-15, 15), st.integers(-15, 15))
def test_a_shift_is_numpys(mask: np.ndarray, dy: int, dx: int) -> None:
    height, width = mask.shape
    wide = np.pad(mask, 16)
    expected = np.roll(wide, (dy, dx), (0, 1))[16 : 16 + height, 16 : 16 + width]
    moved = transformed(mask, similarity_about((3.0, 4.0), (dy, dx)))
    assert np.array_equal(moved, expected)


@given(st.sampled_from([90, 180, 270]), masks)
def test_quarter_turns_are_numpys(degrees: int, mask: np.ndarray) -> None:
    size = max(mask.shape) | 1
    square = np.zeros((size, size), np.bool_)
    square[: mask.shape[0], : mask.shape[1]] = mask
    middle = (size - 1) / 2
    turned = transformed(square, similarity_about((middle, middle), degrees=degrees))
    assert np.array_equal(turned, np.rot90(square, degrees // 90))


@pytest.mark.parametrize("scale", [0.5, 1.3, 2.0])
def test_scaling_a_disk_makes_another(scale: float) -> None:
    there = transformed(disk(120, 160, 60, 70, 20), similarity_about((60, 70), scale=scale))
    assert iou(there, disk(120, 160, 60, 70, 20 * scale)) > 0.95


def test_what_leaves_the_frame_is_cut() -> None:
    gone = transformed(disk(40, 50, 20, 20, 9), similarity_about((20, 20), (500, 0)))
    assert gone.shape == (40, 50)
    assert not gone.any()


def test_the_centre_is_that_of_the_pixels() -> None:
    assert centre_of(disk(40, 50, 21, 33, 6)) == pytest.approx((21, 33))


@given(masks)
def test_holes_are_filled(mask: np.ndarray) -> None:
    assert np.array_equal(with_holes_filled(mask), ndimage.binary_fill_holes(mask))


def test_large_holes_stay_if_asked() -> None:
    ring = disk(60, 60, 30, 30, 20) & ~disk(60, 60, 30, 30, 8)
    pierced = ring.copy()
    pierced[14, 30] = False
    assert np.array_equal(with_holes_filled(pierced, largest=4), ring)


@given(masks, st.integers(1, 12))
def test_specks_are_dropped(mask: np.ndarray, smallest: int) -> None:
    labels, count = ndimage.label(mask, EIGHT)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    kept = without_specks(mask, smallest)
    for part in range(1, count + 1):
        stays = kept[labels == part]
        assert stays.all() or not stays.any()
        assert stays.any() or areas[part] < smallest
        if areas[part] >= smallest:
            assert stays.all()
    assert not (kept & ~mask).any()
    assert kept.any() == mask.any()


def test_smoothing_takes_teeth_off_and_keeps_the_rest() -> None:
    body = disk(80, 90, 40, 45, 25)
    toothed = body.copy()
    toothed[40, 66:88] = True
    smooth = smoothed(toothed, 3)
    assert not smooth[40, 80:].any()
    assert iou(smooth, body) > 0.95
    assert np.array_equal(smoothed(toothed, 0), toothed)
    # at the border it stays
    cut = disk(80, 90, 40, 0, 25)
    assert smoothed(cut, 3)[30:50, 0].all()
