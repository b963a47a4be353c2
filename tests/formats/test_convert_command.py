"""``napari-amodal convert``, as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import as_dataset, read_all, with_frames, write
from test_dataset_formats import small
from typer.testing import CliRunner

from napari_amodal.cli import app
from napari_amodal.formats.format_table import DatasetFormat

RUNNER = CliRunner()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three clips in the TABE-51 layout."""
    clips = tuple(with_frames(small(f"car{n}"), tmp_path / "root") for n in range(3))
    write(as_dataset(clips), DatasetFormat.TABE51, tmp_path / "set")
    return tmp_path / "set"


def test_on_several_processes_from_a_command_of_its_own(source: Path, tmp_path: Path) -> None:
    code = "from napari_amodal.cli import app; app()"
    out = tmp_path / "out"
    command = ["convert", str(source), str(out), "--to", "davis", "--jobs", "2"]
    run = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"3 clips written to {out} as davis\n"
    told = [line for line in run.stderr.splitlines() if "cannot hold" in line]
    assert len(told) == 1
    assert "amodal masks" in told[0]
    assert run.stderr.index("cannot hold") < run.stderr.index("converting")
    assert set(read_all(out, DatasetFormat.DAVIS, None)) == {"car0", "car1", "car2"}


def test_nothing_is_said_where_nothing_is_lost(source: Path, tmp_path: Path) -> None:
    run = RUNNER.invoke(app, ["convert", str(source), str(tmp_path / "out"), "--to", "coco"])
    assert run.exit_code == 0
    assert "cannot hold" not in run.stderr
    data = json.loads((tmp_path / "out" / "annotations.json").read_text())
    ids = [annotation["id"] for annotation in data["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert {image["video_id"] for image in data["images"]} == {1, 2, 3}


def test_a_bad_clip_is_named_at_the_end_and_the_rest_is_written(
    source: Path, tmp_path: Path
) -> None:
    (source / "car1" / "gt_masks" / "00001.png").write_bytes(b"no mask")
    run = RUNNER.invoke(app, ["convert", str(source), str(tmp_path / "out"), "--to", "coco"])
    assert run.exit_code == 1
    assert run.stdout.startswith("2 clips written")
    assert "left out: car1: gt_masks/00001.png cannot be read" in run.stderr.splitlines()[-1]
    assert set(read_all(tmp_path / "out", DatasetFormat.COCO, None)) == {"car0", "car2"}


def test_a_number_that_no_json_can_hold_costs_its_clip_alone(source: Path, tmp_path: Path) -> None:
    (source / "car1" / "napari-amodal.json").write_text('{"object": 1, "seed": 1e400}')
    run = RUNNER.invoke(app, ["convert", str(source), str(tmp_path / "out"), "--to", "coco"])
    assert run.exit_code == 1
    assert run.stdout.startswith("2 clips written")
    (*_, named) = run.stderr.splitlines()
    assert "left out: car1: car1/napari-amodal.json is not JSON (1e400" in named


def test_annotations_alone(source: Path, tmp_path: Path) -> None:
    coco, davis = tmp_path / "coco", tmp_path / "davis"
    RUNNER.invoke(app, ["convert", str(source), str(coco), "--to", "coco", "--no-frames"])
    assert [path.name for path in coco.iterdir()] == ["annotations.json"]
    run = RUNNER.invoke(app, ["convert", str(coco), str(davis), "--to", "davis"])
    assert run.exit_code == 0
    assert "without frames, as they were not found (--images): car0, car1, car2" in run.stderr
    back = ["convert", str(coco / "annotations.json"), str(tmp_path / "back"), "--to", "tabe51"]
    run = RUNNER.invoke(app, back)
    assert (run.exit_code, "--images" in run.stderr) == (1, True)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nowhere", "out", "--to", "coco"], 2, "there is no file or folder"),
        (["set", "set", "--to", "coco"], 2, "choose another folder"),
        (["set/car0", "set", "--to", "coco", "--overwrite"], 2, "choose another folder"),
        (["set", "root", "--to", "coco"], 2, "is there already"),
        (["set", "root", "--to", "coco", "--overwrite"], 2, "no clip folder"),
        (["root/car0", "out", "--to", "coco"], 1, "say what it is"),
        (["set", "out", "--to", "coco", "--from", "yolo"], 2, "for writing only"),
        (["set", "out", "--to", "gif"], 2, "gif"),
        (["set", "set/in", "--to", "coco"], 2, "lies in set, which is only read"),
    ],
)
def test_wrong_calls(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    run = RUNNER.invoke(app, ["convert", *arguments])
    assert (run.exit_code, words in run.stderr) == (status, True), run.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_formats_and_what_they_keep_are_shown() -> None:
    run = RUNNER.invoke(app, ["convert", "--formats"])
    assert run.exit_code == 0
    header, *rows = run.stdout.splitlines()
    assert header.split() == list(DatasetFormat)
    assert rows[2].split()[:4] == ["visible", "masks", "yes", "yes"]
