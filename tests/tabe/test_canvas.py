"""The square canvas: what is placed on it comes back to where it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import clip_from_array
from napari_amodal.masks import MaskStack, iou
from napari_amodal.tabe.canvas import SMALLEST_PART, Canvas, canvas_for, outpainting_frames

HEIGHT, WIDTH = 90, 160


def block(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


@given(
    st.integers(0, 50),
    st.integers(0, 110),
    st.integers(20, 40),
    st.integers(20, 50),
    st.integers(0, 30),
)
def test_a_mask_comes_back(y0: int, x0: int, tall: int, wide: int, margin: int) -> None:
    canvas = Canvas(512, HEIGHT, WIDTH, margin)
    mask = block(y0, x0, y0 + tall, x0 + wide)
    back = canvas.take_back(canvas.place_mask(mask))
    assert iou(back, mask) > 0.95
    placed = canvas.place_box(Box(y0, x0, y0 + tall, x0 + wide))
    found = box_of(canvas.place_mask(mask))
    assert placed is not None and found is not None and placed.iou(found) > 0.9


def test_the_margin_is_as_wide_as_the_object_reaches() -> None:
    clip = clip_from_array(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8))
    assert canvas_for(clip, (Box(0, 0, 10, 10), None), 512).margin == 0
    assert canvas_for(clip, (Box(-12, 0, 10, 10), Box(0, 100, 20, 165)), 512).margin == 12
    assert canvas_for(clip, (Box(0, -500, 10, 10),), 512).margin == WIDTH // 4


def test_what_is_given_and_what_is_generated() -> None:
    """Whole, half hidden, a speck, gone: section 8 of the reference page."""
    whole, half, speck = block(20, 40, 60, 90), block(20, 40, 60, 65), block(30, 50, 32, 52)
    visible = MaskStack([whole, half, speck, np.zeros_like(whole)], HEIGHT, WIDTH)
    near = block(0, 65, 90, 120)
    hiders = MaskStack([~whole, near, near, near], HEIGHT, WIDTH)
    box = Box(20, 40, 60, 90)
    clip = clip_from_array(np.full((4, HEIGHT, WIDTH, 3), 70, np.uint8))
    canvas = Canvas(256, HEIGHT, WIDTH)
    found = outpainting_frames(
        clip, range(4), canvas, visible, hiders, (box,) * 4, frozenset({0}), {}
    )
    in_box = canvas.place_mask(whole)
    assert not found.hidden[0].any(), "nothing is hidden in a whole frame"
    assert (found.hidden[1] & in_box).sum() > 0.9 * found.hidden[1].sum() > 0
    assert not (found.hidden[1] & found.visible[1]).any()
    assert canvas.place_mask(speck).sum() < SMALLEST_PART
    assert (found.hidden[3] & in_box).sum() > 0.9 * in_box.sum(), "gone: the whole box"
    assert (found.pixels[3] == 255).all()
    assert (found.pixels[1][~found.visible[1]] == 255).mean() > 0.95, "white around the object"


def test_a_small_part_is_shown_with_what_is_around_it() -> None:
    """The dilated part is no longer to be generated, so its pixels are those of the frame."""
    speck = block(30, 50, 32, 52)
    shades = np.random.default_rng(0).integers(60, 120, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    canvas = Canvas(256, HEIGHT, WIDTH)
    masks = MaskStack([speck], HEIGHT, WIDTH), MaskStack([~speck], HEIGHT, WIDTH)
    parts = (*masks, (Box(20, 40, 60, 90),), frozenset[int](), {})
    found = outpainting_frames(clip_from_array(shades), range(1), canvas, *parts)
    ring = found.visible[0] & ~canvas.place_mask(speck)
    assert ring.any()
    assert (found.pixels[0][ring] < 130).all()
    assert (
        found.pixels[0][~found.visible[0] & ~canvas.place_mask(block(28, 48, 34, 54))] == 255
    ).all()


def test_where_the_whole_object_is_known_just_what_it_hides_is_generated() -> None:
    whole, half = block(20, 40, 60, 90), block(20, 40, 60, 65)
    none = np.zeros_like(whole)
    clip = clip_from_array(np.full((2, HEIGHT, WIDTH, 3), 70, np.uint8))
    canvas = Canvas(256, HEIGHT, WIDTH)
    masks = MaskStack([half, none], HEIGHT, WIDTH), MaskStack([none, none], HEIGHT, WIDTH)
    parts = (*masks, (None, Box(0, 0, 90, 160)), frozenset[int](), {0: whole, 1: whole})
    found = outpainting_frames(clip, range(2), canvas, *parts)
    assert (found.hidden[0] == canvas.place_mask(whole) & ~found.visible[0]).all()
    assert found.hidden[0].any()
    assert (found.hidden[1] == canvas.place_mask(whole)).all()
