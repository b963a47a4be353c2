"""`napari-amodal run`: clips and calls that it refuses, by name and before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_calls import assert_refused, call, save_mask
from PIL import Image


def break_annos(folder: Path) -> None:
    (folder / "annos.json").write_text('{"occlusion": [{"level": "NO_OCC')


def hostile_annos(folder: Path) -> None:
    (folder / "annos.json").write_text("[" * 100_000)


def lose_a_frame(folder: Path) -> None:
    (folder / "frames" / "00005.jpg").unlink()


def truncate_a_frame(folder: Path) -> None:
    path = folder / "frames" / "00005.jpg"
    path.write_bytes(path.read_bytes()[:1000])


def resize_a_frame(folder: Path) -> None:
    Image.new("RGB", (64, 48)).save(folder / "frames" / "00005.jpg")


def resize_a_mask(folder: Path) -> None:
    Image.new("L", (64, 48)).save(folder / "visible_masks" / "00005.png")


def one_mask_too_many(folder: Path) -> None:
    Image.new("L", (213, 120)).save(folder / "visible_masks" / "00099.png")


def empty_all_masks(folder: Path) -> None:
    for path in (folder / "visible_masks").iterdir():
        Image.new("L", (213, 120)).save(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_annos, ("annos.json",)),
        (hostile_annos, ("annos.json",)),
        (lose_a_frame, ("00005",)),
        (truncate_a_frame, ("frames/00005.jpg",)),
        (resize_a_frame, ("frames/00005.jpg", "64x48", "213x120")),
        (resize_a_mask, ("visible_masks/00005.png", "64x48", "213x120")),
        (one_mask_too_many, ("visible_masks/00099.png",)),
        (empty_all_masks, ("visible_masks", "--query")),
    ],
)
def test_a_damaged_clip_is_refused_by_name(
    own_clip: Path, tmp_path: Path, damage: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    damage(own_clip)
    done = call("run", own_clip, "--out", tmp_path / "out", "--json")
    assert_refused(done, 1, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--query-frame", "14"), ("14", "0 to 13")),
        (("--query-frame", "-1"), ("-1", "0 to 13")),
        (("--query", "no-such.png"), ("no-such.png",)),
        (("--object", "7"), ("7", "--query")),
        (("--engine", "no-such"), ("no-such", "draft")),
        (("--engine", "flow+outline+no-such"), ("no-such", "shape")),
        (("--set", "shape.no_such=1"), ("shape.no_such=1", "no_such")),
        (("--set", "no-such.setting=1"), ("no-such", "flow, outline, shape")),
        (("--set", "nonsense"), ("nonsense", "STAGE.SETTING=VALUE")),
    ],
)
def test_a_call_that_cannot_be_meant_ends_with_status_2(
    clip_folder: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = call("run", clip_folder, "--out", tmp_path / "out", *arguments)
    assert_refused(done, 2, *words)
    assert not (tmp_path / "out").exists()


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    done = call("run", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert_refused(done, 2, str(tmp_path / "nowhere"))


def test_something_that_is_no_clip(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no clip")
    done = call("run", tmp_path / "notes.txt", "--out", tmp_path / "out")
    assert_refused(done, 1, "notes.txt")


def test_a_clip_without_masks_asks_for_a_query(own_clip: Path, tmp_path: Path) -> None:
    done = call("run", own_clip / "frames", "--out", tmp_path / "out")
    assert_refused(done, 2, "--query")


def test_a_query_that_cannot_be_used(clip_folder: Path, two_objects: Path, tmp_path: Path) -> None:
    start = ("run", clip_folder, "--out", tmp_path / "out", "--query")
    empty = save_mask(tmp_path / "empty.png", np.zeros((120, 213), np.uint8))
    assert_refused(call(*start, empty), 1, "empty.png", "empty")
    small = save_mask(tmp_path / "small.png", np.full((48, 64), 255, np.uint8))
    assert_refused(call(*start, small), 1, "small.png", "64x48", "213x120")
    smooth = save_mask(tmp_path / "smooth.png", np.tile(np.arange(213, dtype=np.uint8), (120, 1)))
    assert_refused(call(*start, smooth), 1, "smooth.png")
    assert_refused(call(*start, two_objects, "--object", 5), 2, "5", "1, 2")
    (tmp_path / "text.png").write_text("no image")
    assert_refused(call(*start, tmp_path / "text.png"), 1, "text.png")


def test_given_masks_must_be_there_for_every_frame(own_clip: Path, tmp_path: Path) -> None:
    (own_clip / "visible_masks" / "00004.png").unlink()
    done = call("run", own_clip, "--out", tmp_path / "out", "--visible", "given")
    assert_refused(done, 1, "visible_masks/00004.png is missing")
