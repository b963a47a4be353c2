"""`napari-amodal run`: what it takes and what it writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_calls import COMMAND, FRAMES, LEVELS, assert_refused, call, save_mask

from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.sample import SampleClip, sample_clip


def test_run_writes_the_whole_layout(completed: tuple[Path, Any], sample: SampleClip) -> None:
    out, _ = completed
    folder = out / "coffee"
    assert [path.name for path in out.iterdir()] == ["coffee"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "annos.json",
        "frames",
        "gt_masks",
        "napari-amodal.json",
        "visible_masks",
    ]
    back = read_tabe51(folder)
    assert len(back.clip) == len(back.visible) == len(back.amodal) == FRAMES
    np.testing.assert_array_equal(back.visible[0], sample.visible[0])
    for frame in range(FRAMES):
        assert not (back.visible[frame] & ~back.amodal[frame]).any()


def test_run_records_where_the_masks_came_from(completed: tuple[Path, Any]) -> None:
    out, _ = completed
    record = json.loads((out / "coffee" / "napari-amodal.json").read_text())
    assert record["engine"]["name"] == "draft"
    assert record["query_frame"] == 0
    assert set(record["settings"]) == {"flow", "outline", "shape"}
    assert record["software"]["napari-amodal"]
    assert [frame["visible"] for frame in record["frames"]] == [
        "query",
        *["tracked"] * (FRAMES - 1),
    ]


def test_json_is_all_that_stdout_holds(completed: tuple[Path, Any]) -> None:
    out, printed = completed
    assert printed["folders"] == [str(out / "coffee")]
    assert printed["frames"] == FRAMES
    assert printed["seconds"] > 0
    assert printed["frames_per_second"] == pytest.approx(FRAMES / printed["seconds"], rel=0.05)
    (found,) = printed["objects"]
    assert set(found["levels"]) == LEVELS
    assert sum(found["levels"].values()) == FRAMES


def test_without_a_terminal_progress_is_a_few_plain_lines(
    clip_folder: Path, tmp_path: Path
) -> None:
    done = call("run", clip_folder, "--out", tmp_path)
    lines = done.stderr.splitlines()
    assert 4 <= len(lines) < 60
    assert all(line.lstrip()[0].isdigit() and "%" in line for line in lines)
    assert "\x1b" not in done.stderr + done.stdout
    assert str(tmp_path / "coffee") in done.stdout


def test_given_visible_masks_are_taken_as_they_are(
    clip_folder: Path, tmp_path: Path, sample: SampleClip
) -> None:
    done = call("run", clip_folder, "--out", tmp_path, "--visible", "given")
    assert done.returncode == 0, done.stderr
    back = read_tabe51(tmp_path / "coffee")
    for frame in range(FRAMES):
        np.testing.assert_array_equal(back.visible[frame], sample.visible[frame])
    assert back.provenance is not None
    assert back.provenance["frames"][3]["visible"] == "given"
    assert back.provenance["engine"]["tracker"] is None


def test_the_first_mask_that_is_not_empty_is_the_query(own_clip: Path, tmp_path: Path) -> None:
    for path in (own_clip / "visible_masks").iterdir():
        if path.stem not in ("00000", "00008"):
            path.unlink()
    save_mask(own_clip / "visible_masks" / "00000.png", np.zeros((120, 213), np.uint8))
    done = call("run", own_clip, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["objects"][0]["query_frame"] == 8


def test_query_frame_chooses_the_clips_own_mask(clip_folder: Path, tmp_path: Path) -> None:
    done = call("run", clip_folder, "--out", tmp_path, "--query-frame", 8, "--json")
    assert json.loads(done.stdout)["objects"][0]["query_frame"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--click", "0:60,50"), ("--click", "'flow'", "takes masks only", "tabe", "sam2-draft")),
        (("--engine", "tabe", "--click", "0-60-50"), ("--click 0-60-50", "FRAME:Y,X")),
        (("--engine", "tabe", "--click", "0:60"), ("--click 0:60", "FRAME:Y,X")),
        (("--engine", "tabe", "--click", "14:60,50"), ("the clip has frames 0 to 13",)),
        (("--engine", "tabe", "--click", "0:60,250"), ("213x120", "row (Y) first")),
        (
            ("--engine", "tabe", "--outside", "0:60,50"),
            ("--outside", "frame 0", "add --click"),
        ),
        (("--engine", "tabe", "--box", "0:60,50,40,90"), ("60,50,40,90 is empty", "Y0 < Y1")),
        (("--engine", "tabe", *("--box", "0:1,1,9,9") * 2), ("has 2 boxes on frame 0",)),
        (("--engine", "tabe", "--click", "0:9,9", "--query-frame", 1), ("goes with --query",)),
        (("--engine", "tabe", "--click", "2@0:9,9", "--object", 1), ("the objects 2 were",)),
        (("--engine", "tabe", "--click", "0:9,9", "--visible", "given"), ("--visible given",)),
    ],
)
def test_wrong_clicks_are_named(
    clip_folder: Path, tmp_path: Path, arguments: tuple[Any, ...], words: tuple[str, ...]
) -> None:
    done = call("run", clip_folder, "--out", tmp_path, *arguments)
    assert_refused(done, 2, *words)


def test_each_label_of_a_palette_mask_is_an_object(
    own_clip: Path, two_objects: Path, tmp_path: Path, sample: SampleClip
) -> None:
    shutil.rmtree(own_clip / "visible_masks")
    done = call("run", own_clip / "frames", "--out", tmp_path / "out", "--query", two_objects)
    assert done.returncode == 0, done.stderr
    lawn, cup = (read_tabe51(tmp_path / "out" / name) for name in ("frames", "frames-1"))
    np.testing.assert_array_equal(cup.visible[0], sample.visible[0])
    assert lawn.visible[0].sum() == 20 * 40
    assert cup.provenance is not None
    assert cup.provenance["object"] == 2


def test_object_picks_one_label(clip_folder: Path, two_objects: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("run", clip_folder, "--out", out, "--query", two_objects, "--object", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["coffee"]
    assert json.loads(done.stdout)["objects"][0]["object"] == 2


def test_set_changes_a_setting_and_is_recorded(
    clip_folder: Path, completed: tuple[Path, Any], tmp_path: Path
) -> None:
    """The first number among the completer's settings, whatever it is called."""
    record = json.loads((completed[0] / "coffee" / "napari-amodal.json").read_text())
    numbers = {k: v for k, v in record["settings"]["shape"].items() if type(v) in (int, float)}
    name, value = next(iter(numbers.items()))
    arguments = ("run", clip_folder, "--out", tmp_path, "--visible", "given")
    done = call(*arguments, "--set", f"shape.{name}={value}")
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "coffee" / "napari-amodal.json").read_text())
    assert again["settings"]["shape"][name] == value


def test_a_mixture_of_stages_is_an_engine(clip_folder: Path, tmp_path: Path) -> None:
    done = call(
        "run",
        clip_folder,
        "--out",
        tmp_path,
        "--engine",
        "flow+outline+shape",
        "--visible",
        "given",
    )
    assert done.returncode == 0, done.stderr


def test_a_clip_of_one_frame_is_refused(own_clip: Path, tmp_path: Path) -> None:
    for path in own_clip.rglob("000*"):
        if path.stem != "00000":
            path.unlink()
    (own_clip / "annos.json").unlink()
    done = call("run", own_clip, "--out", tmp_path / "out")
    assert_refused(done, 1, "has one frame only", "two frames or more")
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_replaced_only_when_asked(
    clip_folder: Path, tmp_path: Path
) -> None:
    arguments = ("run", clip_folder, "--out", tmp_path, "--visible", "given")
    (tmp_path / "coffee" / "frames").mkdir(parents=True)
    (tmp_path / "coffee" / "frames" / "00000.jpg").write_text("old")
    assert_refused(call(*arguments), 2, str(tmp_path / "coffee"), "is there already")
    assert (tmp_path / "coffee" / "frames" / "00000.jpg").read_text() == "old"
    assert call(*arguments, "--overwrite").returncode == 0
    assert len(read_tabe51(tmp_path / "coffee").amodal) == FRAMES


def test_a_folder_that_is_no_clip_is_not_overwritten(clip_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "coffee").mkdir()
    (tmp_path / "coffee" / "thesis.txt").write_text("years of work")
    done = call("run", clip_folder, "--out", tmp_path, "--overwrite")
    assert_refused(done, 2, "is no clip folder")
    assert (tmp_path / "coffee" / "thesis.txt").read_text() == "years of work"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_within_a_second_and_leaves_nothing(tmp_path: Path) -> None:
    sample = sample_clip(frames=64, height=360)
    truth = tmp_path / "coffee"
    write_tabe51(truth, sample.clip, sample.visible, sample.amodal, sample.occlusion)
    out = tmp_path / "out"
    running = subprocess.Popen(
        [COMMAND, "run", truth, "--out", out, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    running.stderr.readline()  # the first stage has begun
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=5)
    assert running.returncode == 130
    assert "stopped" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not out.exists()
