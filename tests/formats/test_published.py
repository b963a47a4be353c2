"""Predictions in the published code's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_amodal.errors import InputError
from napari_amodal.formats.mask_png import write_mask
from napari_amodal.formats.published import find_predictions, read_prediction

VIS = "first/TABE51/vis"


def mask(frame: int) -> np.ndarray:
    found = np.zeros((20, 30), np.bool_)
    found[frame] = True
    return found


def predict(vis: Path, name: str, hypotheses: tuple[str, ...] = ("0",)) -> None:
    for hypothesis in hypotheses:
        masks = vis / name / "final_outputs" / hypothesis / "masks"
        masks.mkdir(parents=True)
        for frame in range(12):
            write_mask(masks / f"{frame}.png", mask(frame))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    predict(tmp_path / VIS, "car", ("0", "1", "2", "10"))
    predict(tmp_path / VIS, "man-1")
    (tmp_path / VIS / "unfinished").mkdir()
    return tmp_path


@pytest.mark.parametrize("level", ["", "first", "first/TABE51", VIS])
def test_any_level_is_accepted(out: Path, level: str) -> None:
    found = find_predictions(out / level)
    assert list(found) == ["car", "man-1"]
    assert [masks.parent.name for masks in found["car"]] == ["0", "1", "2", "10"]


def test_a_single_clip_and_nothing(out: Path) -> None:
    assert list(find_predictions(out / VIS / "car")) == ["car"]
    assert find_predictions(out / VIS / "unfinished") == {}


def test_masks_by_frame(out: Path) -> None:
    masks = read_prediction(find_predictions(out)["car"][0])
    assert list(masks) == list(range(12))
    assert np.array_equal(masks[10], mask(10))
    assert masks.size == (20, 30)


def test_two_experiments_are_named(out: Path) -> None:
    predict(out / "second/TABE51/vis", "car")
    with pytest.raises(InputError, match=r"holds 'car' twice.*give the folder of one experiment"):
        find_predictions(out)


def test_files_that_are_no_masks_are_named(out: Path) -> None:
    masks = out / VIS / "man-1/final_outputs/0/masks"
    write_mask(masks / "overlay.png", mask(0))
    with pytest.raises(InputError, match=r"masks/overlay\.png is not named after its frame"):
        read_prediction(masks)
    for path in masks.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="holds no PNG masks"):
        read_prediction(masks)
