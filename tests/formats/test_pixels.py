"""Arrays of any kind as clips."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_amodal.clip import clip_from_array
from napari_amodal.errors import InputError
from napari_amodal.formats.pixels import Limits, clip_from_pixels

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 20, 30), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 20, 30, 3), np.uint8)
OF_GREY = np.repeat(GREY[..., np.newaxis], 3, axis=3)


@pytest.mark.parametrize(
    ("array", "channel_axis", "frames"),
    [
        (GREY, None, OF_GREY),
        (GREY[..., np.newaxis], None, OF_GREY),
        (GREY[:, np.newaxis], None, OF_GREY),
        (COLOUR, None, COLOUR),
        (np.concatenate([COLOUR, COLOUR[..., :1]], 3), None, COLOUR),
        (np.moveaxis(COLOUR, 3, 1), None, COLOUR),
        (np.moveaxis(COLOUR, 3, 0), None, COLOUR),
        (np.moveaxis(COLOUR, 3, 2), 2, COLOUR),
        (COLOUR, -1, COLOUR),
        (GREY > 99, None, np.where(OF_GREY > 99, 255, 0)),
        (GREY[:1], None, OF_GREY[:1]),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_layouts(
    array: np.ndarray, channel_axis: int | None, frames: np.ndarray, lazy: bool
) -> None:
    given_array = da.from_array(array, chunks=3) if lazy else array
    clip = clip_from_pixels(given_array, "stack", channel_axis=channel_axis)
    assert clip.frames.chunksize == (1, 20, 30, 3)
    assert np.array_equal(np.asarray(clip.frames), frames)


def test_nothing_is_computed_before_it_is_read() -> None:
    def fail(block_id: Any) -> np.ndarray:
        raise AssertionError("computed")

    lazy = da.map_blocks(fail, chunks=((1,) * 4, (20,), (30,)), dtype=np.uint16, meta=GREY[:0])
    clip = clip_from_pixels(lazy, "lazy")
    assert len(clip) == 4
    with pytest.raises(AssertionError, match="computed"):
        clip.frame(0)


def test_frames_of_a_clip_are_taken_as_they_are() -> None:
    clip = clip_from_array(COLOUR, "first")
    again = clip_from_pixels(clip.frames, "a/b", limits=(0, 1))
    assert again.frames is clip.frames
    assert again.name == "a_b"


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64, np.float16])
def test_one_range_for_the_whole_clip(dtype: type) -> None:
    ramp = np.linspace(-100 if np.dtype(dtype).kind != "u" else 5, 900, 3000).astype(dtype)
    frames = np.asarray(clip_from_pixels(ramp.reshape(5, 20, 30), "deep").frames)[..., 0]
    assert np.abs(frames.reshape(-1) - np.linspace(0, 255, 3000)).max() < 2


def test_a_hot_pixel_does_not_make_the_clip_dark() -> None:
    deep = RNG.integers(100, 200, (5, 100, 100)).astype(np.uint16)
    deep[2, 3, 4] = 65535
    frame = clip_from_pixels(deep, "hot").frame(0)
    assert frame.mean() == pytest.approx(127, abs=5)


def test_few_bright_dots_on_black_are_seen() -> None:
    deep = np.zeros((3, 100, 100), np.uint16)
    deep[:, 50, 50] = 4000
    frame = clip_from_pixels(deep, "dots").frame(1)
    assert frame[50, 50].tolist() == [255, 255, 255]
    assert np.count_nonzero(frame) == 3


def test_colours_in_floats_are_shares() -> None:
    shares = np.full((2, 4, 5, 3), 0.5, np.float32)
    shares[0, 0, 0] = 0.25
    frames = np.asarray(clip_from_pixels(shares, "floats").frames)
    assert frames[1, 0, 0].tolist() == [128, 128, 128]
    assert frames[0, 0, 0].tolist() == [64, 64, 64]


def test_nan_and_infinity() -> None:
    values = np.linspace(0, 10, 600).reshape(1, 20, 30)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    frame = clip_from_pixels(np.repeat(values, 2, 0), "holes").frame(1)[..., 0]
    assert frame[0, :3].tolist() == [0, 255, 0]
    assert frame[10].min() > 100
    with pytest.raises(InputError, match="no finite values"):
        clip_from_pixels(np.full((2, 4, 5), np.nan), "void").frame(0)


def test_a_constant_clip_is_black() -> None:
    assert clip_from_pixels(np.full((2, 4, 5), 7.0), "flat").frame(0).max() == 0


def test_given_limits_are_used() -> None:
    frames = np.asarray(clip_from_pixels(GREY, "narrow", limits=(50, 101)).frames)
    expected = np.clip((OF_GREY.astype(float) - 50) * 5, 0, 255)
    assert np.array_equal(frames, expected)


@given(
    arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)),
    st.floats(-1e5, 1e5),
    st.floats(1e-3, 1e5),
)
def test_limits_keep_the_order(values: np.ndarray, low: float, span: float) -> None:
    shades = Limits(low, low + span).apply(np.sort(values))
    assert (np.diff(shades.astype(int)) >= 0).all()
    assert Limits(low, low + span).apply(np.array([low, low + span])).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("array", "how", "message"),
    [
        (np.zeros((20, 30)), {}, "one image"),
        (np.zeros((20, 30, 3)), {}, "one colour image"),
        (np.zeros((20, 30, 3)), {"channel_axis": 2}, "one image"),
        (np.zeros((5, 7, 20, 30)), {}, "choose one channel"),
        (np.zeros((5, 2, 20, 30)), {"channel_axis": 1}, "choose one channel"),
        (np.zeros((5, 3, 20, 30)), {"channel_axis": 9}, "no axis 9"),
        (np.zeros((2, 5, 3, 20, 30)), {}, "choose one stack"),
        (np.zeros((0, 20, 30)), {}, "no pixels"),
        (np.zeros((2, 20, 30), complex), {}, "not complex"),
        (np.zeros((2, 20, 30)).astype(str), {}, "frames are numbers"),
        ([1, 2], {}, "is a list"),
        (GREY, {"limits": (3, 3)}, "contrast limits"),
        (GREY, {"limits": (0, float("nan"))}, "contrast limits"),
    ],
)
def test_what_is_no_clip_is_named(array: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        clip_from_pixels(array, "layer", **how)
