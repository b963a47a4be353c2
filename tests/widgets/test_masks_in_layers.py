"""What runs write to a layer and what they leave alone; any masks, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.layers import Image
from pytest import MonkeyPatch

from napari_amodal.clip import clip_from_array
from napari_amodal.widgets import mask_volume
from napari_amodal.widgets.layer_clip import grid_of
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.mask_patch import EMPTY, MaskPatch
from napari_amodal.widgets.result_layer import ResultLayer

SHAPE = (3, 9, 13)
masks = hnp.arrays(np.bool_, SHAPE)
FRAMES = np.zeros((*SHAPE, 3), np.uint8)


def result_layer() -> ResultLayer:
    grid = grid_of(Image(FRAMES, rgb=True))
    return ResultLayer.make(LayerRole.VISIBLE, 4, "visible", grid, clip_from_array(FRAMES))


def write_all(result: ResultLayer, found: np.ndarray) -> None:
    for frame, mask in enumerate(found):
        result.write(frame, MaskPatch.of(mask))


@given(first=masks, second=masks, edit=masks, edited=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_a_second_run_replaces_only_what_the_first_made(
    first: np.ndarray, second: np.ndarray, edit: np.ndarray, edited: int
) -> None:
    result = result_layer()
    write_all(result, first)
    assert (np.asarray(result.stack(lambda: None)) == first).all()
    assert result.edited_frames(lambda: None) == set()

    result.layer.data[edited] = 4 * edit[edited]
    differs = bool((edit[edited] != first[edited]).any())
    assert result.edited_frames(lambda: None) == ({edited} if differs else set())
    write_all(result, second)
    for frame in range(3):
        kept = differs and frame == edited
        assert (result.mask(frame) == (edit if kept else second)[frame]).all()

    result.release(result.edited_frames(lambda: None))
    write_all(result, second)
    assert (np.asarray(result.stack(lambda: None)) == second).all()
    assert set(np.unique(result.layer.data)) <= {0, 4}


@given(mask=hnp.arrays(np.bool_, (7, 10)))
def test_patches_hold_masks(mask: np.ndarray) -> None:
    patch = MaskPatch.of(mask)
    drawn = np.zeros_like(mask)
    if patch.box is not None:
        drawn[patch.box.slices] = patch.pixels()
    assert (drawn == mask).all()
    assert (patch == EMPTY) == (not mask.any())


def test_a_long_clip_costs_what_is_painted(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mask_volume, "IN_FILE_FROM", 1)
    monkeypatch.setattr(mask_volume.tempfile, "tempdir", str(tmp_path))
    volume = mask_volume.mask_volume((4, 6, 8))
    assert isinstance(volume, np.memmap)
    volume[2, 3, 4] = 1
    assert volume.sum() == 1 and volume.shape == (4, 6, 8)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind, whatever happens
