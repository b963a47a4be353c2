"""Boxes and mask stacks against what numpy says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_amodal.boxes import Box, box_of
from napari_amodal.masks import MaskStack, iou

GRID = 24

stacks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9))
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    edge = st.integers(0, GRID)
    y0, y1 = sorted(draw(st.lists(edge, min_size=2, max_size=2, unique=True)))
    x0, x1 = sorted(draw(st.lists(edge, min_size=2, max_size=2, unique=True)))
    return Box(y0, x0, y1, x1)


def drawn(box: Box | None) -> np.ndarray:
    mask = np.zeros((GRID, GRID), np.bool_)
    if box is not None:
        mask[box.slices] = True
    return mask


@given(boxes())
def test_a_box_is_its_pixels(box: Box) -> None:
    assert box_of(drawn(box)) == box
    assert box.area == drawn(box).sum() == box.height * box.width
    ys, xs = np.nonzero(drawn(box))
    assert box.center == (ys.mean() + 0.5, xs.mean() + 0.5)


@given(boxes(), boxes())
def test_box_algebra_is_that_of_the_pixels(first: Box, second: Box) -> None:
    common = drawn(first) & drawn(second)
    assert np.array_equal(drawn(first.intersection(second)), common)
    assert first.union(second) == box_of(drawn(first) | drawn(second))
    assert first.iou(second) == pytest.approx(iou(drawn(first), drawn(second)))
    assert first.iou(second) == second.iou(first)


@given(boxes(), st.integers(-40, 40), st.integers(-40, 40), st.integers(0, 5))
def test_moving_growing_and_clipping(box: Box, dy: int, dx: int, pixels: int) -> None:
    moved = Box(box.y0 + dy, box.x0 + dx, box.y1 + dy, box.x1 + dx)
    assert box.padded(pixels).padded(-pixels) == box
    inside = moved.clipped(GRID, GRID)
    far = np.zeros((200, 200), np.bool_)
    far[moved.y0 + 80 : moved.y1 + 80, moved.x0 + 80 : moved.x1 + 80] = True
    assert np.array_equal(drawn(inside), far[80 : 80 + GRID, 80 : 80 + GRID])


@pytest.mark.parametrize("edges", [(3, 0, 3, 5), (0, 5, 4, 4)])
def test_an_empty_box_cannot_be(edges: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="empty box"):
        Box(*edges)


@given(masks)
def test_box_of_a_mask_is_the_smallest(mask: np.ndarray) -> None:
    box = box_of(mask)
    if box is None:
        assert not mask.any()
        return
    inside = mask[box.slices]
    assert inside.sum() == mask.sum()
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@given(stacks)
def test_a_stack_is_its_array(dense: np.ndarray) -> None:
    stack = MaskStack.from_array(dense)
    assert stack.shape == dense.shape
    assert len(stack) == len(dense)
    assert np.asarray(stack).dtype == np.bool_
    assert np.array_equal(np.asarray(stack), dense)
    assert np.array_equal(np.asarray(stack, np.uint8), dense.astype(np.uint8))
    assert all(np.array_equal(mask, dense[n]) for n, mask in enumerate(stack))
    assert np.array_equal(stack[-1], dense[-1])
    assert np.array_equal(stack.areas, dense.sum(axis=(1, 2)))
    assert stack.boxes == tuple(box_of(mask) for mask in dense)
    for frame, box in enumerate(stack.boxes):
        crop = stack.crop(frame)
        assert (crop is None) == (box is None)
        assert box is None or np.array_equal(crop, dense[frame][box.slices])


@given(stacks, st.data())
def test_stacks_are_equal_where_their_arrays_are(dense: np.ndarray, data: st.DataObject) -> None:
    other = data.draw(arrays(np.bool_, dense.shape))
    first, second = MaskStack.from_array(dense), MaskStack.from_array(other)
    assert (first == second) == np.array_equal(dense, other)
    assert first == MaskStack.from_array(dense.copy())
    assert hash(first) == hash(MaskStack.from_array(dense.copy()))
    for frame in range(len(dense)):
        assert first.same_frame(second, frame) == np.array_equal(dense[frame], other[frame])


@given(stacks, st.data())
def test_replacing_frames(dense: np.ndarray, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, len(dense) - 1))
    mask = data.draw(arrays(np.bool_, dense.shape[1:]))
    stack = MaskStack.from_array(dense)
    expected = dense.copy()
    expected[frame] = mask
    assert np.array_equal(np.asarray(stack.replaced({frame: mask})), expected)
    assert np.array_equal(np.asarray(stack), dense)


def test_masks_handed_out_are_the_callers_own() -> None:
    stack = MaskStack.empty(2, 4, 5)
    stack[0][:] = True
    assert stack == MaskStack.from_array(np.zeros((2, 4, 5), np.bool_))


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.zeros((4, 4), np.bool_), "mask 1 has shape"), (np.zeros((4, 5), np.uint8), "is uint8")],
)
def test_a_mask_that_does_not_fit_is_refused(mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskStack([np.zeros((4, 5), np.bool_), mask], 4, 5)


def test_a_stack_refuses_to_be_an_array_without_a_copy() -> None:
    with pytest.raises(ValueError, match="copy"):
        np.asarray(MaskStack.empty(1, 2, 2), copy=False)


def test_long_clips_take_little_memory() -> None:
    mask = np.zeros((1080, 1920), np.bool_)
    mask[300:700, 300:700] = True
    stack = MaskStack((mask for _ in range(100)), 1080, 1920)
    packed = sum(len(frame.bits) for frame in stack._frames)
    assert packed == 100 * 400 * 400 // 8
    assert stack.areas.sum() == 100 * 400 * 400


@given(masks)
def test_iou_of_a_mask_with_itself(mask: np.ndarray) -> None:
    assert iou(mask, mask) == (1.0 if mask.any() else 0.0)
    assert iou(mask, np.zeros_like(mask)) == 0.0


@given(stacks, st.data())
def test_packed_masks_are_shared_and_checked(dense: np.ndarray, data: st.DataObject) -> None:
    stack = MaskStack.from_array(dense)
    _, height, width = dense.shape
    again = MaskStack.from_packed(stack.packed, height, width)
    assert again == stack
    other = MaskStack.from_array(~dense)
    frames = data.draw(st.sets(st.integers(0, len(dense) - 1)))
    taken = stack.taking(other, frames)
    expected = dense.copy()
    expected[sorted(frames)] = ~dense[sorted(frames)]
    assert np.array_equal(np.asarray(taken), expected)
    if dense[0, -1, -1] and width > 1:
        with pytest.raises(ValueError, match="reaches beyond"):
            MaskStack.from_packed(stack.packed, height, width - 1)
