"""What is written to a layer and what is heard of it; any masks, bit for bit."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.layers import Image
from pytest import MonkeyPatch

from napari_amodal.clip import clip_from_array
from napari_amodal.masks import EMPTY, PackedMask
from napari_amodal.widgets import mask_volume
from napari_amodal.widgets.layer_clip import grid_of
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.mask_layer import MaskLayer
from napari_amodal.widgets.strokes import frames_of, stroke_counts

SHAPE = (3, 9, 13)
masks = hnp.arrays(np.bool_, SHAPE)
FRAMES = np.zeros((*SHAPE, 3), np.uint8)


def mask_layer() -> MaskLayer:
    grid = grid_of(Image(FRAMES, rgb=True))
    clip = clip_from_array(FRAMES)
    return MaskLayer.make(LayerRole.VISIBLE, 4, "visible", "#19b5fe", grid, clip)


def write_all(layer: MaskLayer, found: np.ndarray) -> None:
    for frame, mask in enumerate(found):
        layer.write(frame, PackedMask.of(mask))


@given(first=masks, second=masks, edit=masks, edited=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_what_is_painted_is_found_and_what_is_written_is_shown(
    first: np.ndarray, second: np.ndarray, edit: np.ndarray, edited: int
) -> None:
    layer = mask_layer()
    write_all(layer, first)
    assert layer.painted(range(3), lambda: None) == {}
    layer.layer.data[edited] = 4 * edit[edited]
    differs = bool((edit[edited] != first[edited]).any())
    found = layer.painted(range(3), lambda: None)
    assert list(found) == [edited] * differs
    layer.touched.add(edited)  # the brush is at it
    assert not layer.write(edited, PackedMask.of(second[edited]))
    layer.touched.clear()
    for frame, mask in found.items():
        assert (mask == edit[edited]).all()
        layer.note_heard(frame, PackedMask.of(mask))
    write_all(layer, second)
    for frame in range(3):
        assert (layer.mask(frame) == second[frame]).all()
    assert set(np.unique(layer.layer.data)) <= {0, 4}


@given(mask=hnp.arrays(np.bool_, (7, 10)))
def test_packed_masks_hold_masks(mask: np.ndarray) -> None:
    packed = PackedMask.of(mask)
    drawn = np.zeros_like(mask)
    if packed.box is not None:
        drawn[packed.box.slices] = packed.pixels()
    assert (drawn == mask).all()
    assert (packed == EMPTY) == (not mask.any())


def test_strokes_that_a_write_goes_over_are_not_undone_later() -> None:
    layer = mask_layer()
    layer.layer.brush_size = 3
    layer.layer.paint((1, 4, 4), 4)
    layer.layer.data_setitem((np.array([0]), np.array([2]), np.array([2])), 4)
    assert [frames_of(stroke, 3) for stroke in layer.layer._undo_history] == [{1}, {0}]
    layer.note_heard(1, PackedMask.of(layer.mask(1)))
    layer.write(1, EMPTY)
    assert stroke_counts(layer.layer) == (1, 0)
    layer.layer.undo()
    assert not layer.layer.data.any()


def test_a_long_clip_costs_what_is_painted(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mask_volume, "IN_FILE_FROM", 1)
    monkeypatch.setattr(mask_volume.tempfile, "tempdir", str(tmp_path))
    volume = mask_volume.mask_volume((4, 6, 8))
    assert isinstance(volume, np.memmap)
    volume[2, 3, 4] = 1
    assert volume.sum() == 1 and volume.shape == (4, 6, 8)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind, whatever happens


def test_reading_while_the_window_writes_finds_no_strokes() -> None:
    layer = mask_layer()
    random = np.random.default_rng(1)
    packed = [PackedMask.of(random.random(SHAPE[1:]) > 0.5) for _ in range(2)]
    over = threading.Event()
    found: list[int] = []

    def read() -> None:
        while not over.is_set():
            found.extend(layer.painted(range(3), lambda: None))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(3000):
        layer.write(turn % 3, packed[turn % 2])
    over.set()
    reader.join()
    assert found == []
