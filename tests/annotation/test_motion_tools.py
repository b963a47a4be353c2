"""Masks along an object's motion, on a made clip in which the motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import disk

from napari_amodal.annotation.motion_tools import (
    ObjectMotion,
    copied,
    interpolated,
    object_motion,
)
from napari_amodal.annotation.shape_tools import similarity_about, transformed
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.masks import MaskStack, iou

COUNT, HEIGHT, WIDTH = 12, 120, 200


@pytest.fixture(scope="module")
def true() -> MaskStack:
    """An ellipse that moves and turns."""

    def ellipse(t: int) -> np.ndarray:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(mask, (50 + 8 * t, 60), (32, 18), 5 * t, 0, 360, 1, -1)
        return mask > 0

    return MaskStack((ellipse(t) for t in range(COUNT)), HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def clip(true: MaskStack) -> Clip:
    random = np.random.default_rng(5)
    ground = cv2.GaussianBlur(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 1.5)
    skin = cv2.GaussianBlur(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 1.5)
    frames = []
    for t in range(COUNT):
        turn = cv2.getRotationMatrix2D((50, 60), -5 * t, 1)
        turn[:, 2] += (8 * t, 0)
        moved = cv2.warpAffine(skin, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        frames.append(np.where(true[t][..., None], moved, ground))
    return clip_from_array(np.stack(frames))


def test_a_mask_is_copied_with_the_motion(clip: Clip, true: MaskStack) -> None:
    motion = object_motion(clip, true, range(2, 10))
    found = copied(true[6], motion, 6, range(2, 10))
    assert set(found) == {2, 3, 4, 5, 7, 8, 9}
    for frame, mask in found.items():
        assert iou(mask, true[frame]) > 0.9
    assert (
        np.mean([iou(true[6], true[frame]) for frame in found]) < 0.7
    )  # it is not there by itself


def test_between_two_frames_the_mask_follows_the_object(clip: Clip, true: MaskStack) -> None:
    # it is hidden half-way: nothing of it is seen on three frames
    hidden = true.replaced({f: np.zeros((HEIGHT, WIDTH), np.bool_) for f in (5, 6, 7)})
    motion = object_motion(clip, hidden, range(1, 11))
    found = interpolated({1: true[1], 10: true[10]}, motion, 1, 10)
    assert set(found) == set(range(2, 10))
    for frame, mask in found.items():
        assert iou(mask, true[frame]) > 0.88, frame


def test_motion_that_was_not_measured_well_is_made_up_for(true: MaskStack) -> None:
    still = ObjectMotion(0, (np.eye(3),) * (COUNT - 1))
    found = interpolated({0: true[0], 4: true[4]}, still, 0, 4)
    for frame, mask in found.items():
        assert iou(mask, true[frame]) > 0.85


moves = st.tuples(st.floats(-6, 6), st.floats(-6, 6), st.floats(0.95, 1.05), st.floats(-8, 8)).map(
    lambda m: similarity_about((30, 40), (m[0], m[1]), m[2], m[3])
)


@given(st.lists(moves, min_size=4, max_size=4), st.integers(0, 4), st.integers(0, 4))
def test_there_and_back_is_where_it_was(steps: list[np.ndarray], start: int, end: int) -> None:
    motion = ObjectMotion(10, tuple(steps))
    there, back = motion.between(10 + start, 10 + end), motion.between(10 + end, 10 + start)
    assert np.allclose(back @ there, np.eye(3), atol=1e-6)


@given(moves)
def test_ends_that_agree_give_what_is_between(move: np.ndarray) -> None:
    first = disk(80, 100, 40, 50, 14)
    motion = ObjectMotion(0, (move, move))
    middle, last = transformed(first, move), transformed(first, move @ move)
    found = interpolated({0: first, 2: last}, motion, 0, 2)
    assert iou(found[1], middle) > 0.9


def test_from_or_to_nothing_there_is_nothing() -> None:
    motion = ObjectMotion(0, (np.eye(3),) * 2)
    mask = disk(20, 20, 9, 9, 4)
    assert not interpolated({0: mask, 2: mask & ~mask}, motion, 0, 2)[1].any()
