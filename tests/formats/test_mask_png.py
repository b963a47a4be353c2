"""Mask images: what is accepted, what is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from napari_amodal.errors import InputError
from napari_amodal.formats.mask_png import read_labels, read_mask, write_mask

SQUARE = np.zeros((20, 30), np.uint8)
SQUARE[5:10, 5:15] = 1
TWO = SQUARE.copy()
TWO[12:15, 20:25] = 2


def palette_image(indices: np.ndarray, colours: list[int]) -> Image.Image:
    image = Image.fromarray(indices)
    image.putpalette(colours)
    return image


DAVIS = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [9, 99, 199] * 253


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mask_survives(tmp_path: Path, mask: np.ndarray) -> None:
    path = tmp_path / "mask.png"
    write_mask(path, mask)
    assert np.array_equal(read_mask(path, mask.shape), mask)
    with Image.open(path) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), np.where(mask, 255, 0))


def test_a_slice_of_an_array_is_written_right(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).random((20, 30)) > 0.5
    write_mask(tmp_path / "mask.png", wide.T[::2])
    assert np.array_equal(read_mask(tmp_path / "mask.png"), wide.T[::2])


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (Image.fromarray(SQUARE * 255), SQUARE),
        (Image.fromarray(SQUARE), SQUARE),
        (Image.fromarray(SQUARE * 128), SQUARE),
        (Image.fromarray(SQUARE > 0), SQUARE),
        (Image.fromarray(SQUARE * 2), SQUARE * 2),
        (Image.fromarray(TWO), TWO),
        (Image.fromarray(np.zeros_like(SQUARE)), np.zeros_like(SQUARE)),
        (Image.fromarray(np.full_like(SQUARE, 255)), np.ones_like(SQUARE)),
        (Image.fromarray(SQUARE.astype(np.uint16) * 65535), SQUARE),
        (Image.fromarray(TWO.astype(np.uint16) * 300), TWO.astype(int) * 300),
        (Image.fromarray(SQUARE * 255).convert("RGB"), SQUARE),
        (Image.fromarray(SQUARE * 255).convert("RGBA"), SQUARE),
        (Image.fromarray(SQUARE * 255).convert("LA"), SQUARE),
        (palette_image(TWO, DAVIS), TWO),
        (palette_image(np.where(TWO == 2, 255, TWO).astype(np.uint8), DAVIS), SQUARE),
        (palette_image(SQUARE, [255, 255, 255, 0, 0, 0]), 1 - SQUARE),
        (palette_image(SQUARE * 255, [n for n in range(256) for _ in range(3)]), SQUARE),
    ],
)
def test_what_tells_object_from_background_is_read(
    tmp_path: Path, image: Image.Image, labels: np.ndarray
) -> None:
    image.save(tmp_path / "mask.png")
    found = read_labels(tmp_path / "mask.png", (20, 30))
    assert found.dtype == np.int32
    assert np.array_equal(found, labels)


def test_a_single_mask_of_several_objects_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    palette_image(TWO, DAVIS).save(path)
    with pytest.raises(InputError, match=r"mask\.png holds several objects \(labels 1, 2\)"):
        read_mask(path)


SOFT = np.zeros((20, 30), np.uint8)
SOFT[3] = np.arange(0, 240, 8)
HALF_CLEAR = np.zeros((20, 30, 4), np.uint8)
HALF_CLEAR[:10, :, 3] = 255


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.fromarray(SOFT), r"grey values 0, 8, 16, 24, 32, 40, \.\.\. \(30 of them\)"),
        (Image.fromarray(SQUARE * 155 + 100), "grey values 100, 255"),
        (Image.fromarray(np.stack([SQUARE * 255, SQUARE, SQUARE], 2)), "is a colour image"),
        (Image.fromarray(HALF_CLEAR), "partly transparent"),
    ],
)
def test_what_could_mean_anything_is_named(
    tmp_path: Path, image: Image.Image, message: str
) -> None:
    image.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=rf"mask\.png .*{message}"):
        read_labels(tmp_path / "mask.png")


def test_another_size_is_named(tmp_path: Path) -> None:
    write_mask(tmp_path / "mask.png", SQUARE > 0)
    with pytest.raises(InputError, match=r"mask\.png is 30x20, the frames are 1280x720"):
        read_mask(tmp_path / "mask.png", (720, 1280))


@pytest.mark.parametrize("share", [0, 0.3, 0.8])
def test_a_broken_file_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "mask.png"
    write_mask(path, np.random.default_rng(0).random((50, 50)) > 0.5)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"mask\.png cannot be read"):
        read_mask(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mask\.png cannot be read: No such file"):
        read_mask(tmp_path / "mask.png")
