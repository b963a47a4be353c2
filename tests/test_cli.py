"""The installed command, as a person or a script calls it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_amodal.cli import app
from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.sample import SampleClip, sample_clip

COMMAND = Path(sys.executable).with_name("napari-amodal")
FRAMES = 14
LEVELS = {"NO_OCCLUSION", "SLIGHT_OCCLUSION", "SEVERE_OCCLUSION", "NONE"}


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def call_installed(*arguments: object, **environment: str) -> Ended:
    """Run the installed command in a process of its own, without a screen, as on a server."""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**surroundings, **environment},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def call(*arguments: object) -> Ended:
    """Run the same command in this process, which saves the seconds that its imports take."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        app(list(map(str, arguments)), prog_name="napari-amodal")
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def assert_refused(done: Ended, status: int, *words: str) -> None:
    """It ended with `status`, said all of `words` in one line on stderr, and printed no result."""
    assert done.returncode == status, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in line
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def sample() -> SampleClip:
    return sample_clip(frames=FRAMES, height=120)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory, sample: SampleClip) -> Path:
    """The small sample with all its masks, in the TABE-51 layout."""
    folder = tmp_path_factory.mktemp("truth") / "coffee"
    write_tabe51(folder, sample.clip, sample.visible, sample.amodal, sample.occlusion)
    return folder


@pytest.fixture
def own_clip(clip_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(clip_folder, tmp_path / "clips" / "coffee")


@pytest.fixture(scope="module")
def completed(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder and the JSON of one run of the draft engine from the query alone."""
    out = tmp_path_factory.mktemp("completed")
    done = call_installed("run", clip_folder, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


# The whole command


def test_help_is_light(tmp_path: Path) -> None:
    """Help must not wait for, or need, anything heavy."""
    heavy = "{'numpy', 'cv2', 'dask', 'av', 'scipy', 'torch', 'napari', 'qtpy', 'vispy', 'OpenGL'}"
    code = f"import sys, napari_amodal.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    done = call("--help")
    assert done.returncode == 0
    for name in ("run", "evaluate", "demo", "info"):
        assert f"  {name} " in done.stdout


def test_a_run_needs_neither_qt_nor_napari_nor_torch(clip_folder: Path, tmp_path: Path) -> None:
    """Modules of those names that fail when they are imported stand in the way."""
    for name in ("napari", "qtpy", "PyQt6", "PyQt5", "PySide6", "torch", "vispy", "OpenGL"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')")
    out = tmp_path / "out"
    arguments = ("run", clip_folder, "--out", out, "--visible", "given")
    done = call_installed(*arguments, PYTHONPATH=search_path(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (out / "coffee" / "gt_masks" / "00013.png").is_file()


def search_path(first: Path) -> str:
    """``PYTHONPATH`` with a folder put before what is in it."""
    return os.pathsep.join([str(first), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "--no-such"), ("nonsense",), ("evaluate", "one")]
)
def test_a_wrong_call_ends_with_status_2(arguments: tuple[str, ...]) -> None:
    done = call_installed(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr


# run


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
    assert set(record["settings"]) == {"memory", "learned"}
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


def save_mask(path: Path, pixels: np.ndarray, palette: bool = False) -> Path:
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    image.save(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--click", "0:60,50"), ("--click", "'memory'", "takes masks only", "tabe", "sam2-draft")),
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


@pytest.fixture
def two_objects(tmp_path: Path, sample: SampleClip) -> Path:
    """A palette mask, as DAVIS has them: the cup is 2, a patch of lawn is 1."""
    labels = np.zeros((120, 213), np.uint8)
    labels[90:110, 150:190] = 1
    labels[sample.visible[0]] = 2
    return save_mask(tmp_path / "query.png", labels, palette=True)


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
        (("--set", "memory.no_such=1"), ("memory.no_such=1", "no_such")),
        (("--set", "no-such.setting=1"), ("no-such", "memory, learned")),
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


# evaluate


def test_the_truth_scores_one_against_itself(clip_folder: Path) -> None:
    done = call("evaluate", clip_folder, clip_folder, "--json")
    scores = json.loads(done.stdout)
    assert set(scores["clips"]) == {"coffee"}
    expected = ["mIOU", "mIOUfo", "mIOUffo", "mIOUocc", "J_visible"]
    assert list(scores["mean"]) == expected
    assert all(value == 1 for value in scores["mean"].values())


def test_a_run_is_scored_with_its_query_frame_left_out(
    completed: tuple[Path, Any], clip_folder: Path
) -> None:
    out, _ = completed
    scores = json.loads(call("evaluate", out, clip_folder.parent, "--json").stdout)["mean"]
    back, true = read_tabe51(out / "coffee"), read_tabe51(clip_folder)
    ious = [
        (back.visible[t] & true.visible[t]).sum() / (back.visible[t] | true.visible[t]).sum()
        for t in range(1, FRAMES)
        if true.visible[t].any()
    ]
    assert scores["J_visible"] == pytest.approx(np.mean(ious))
    assert scores["J_visible"] > 0.5
    assert scores["mIOU"] > 0.5


def test_figures_that_are_not_defined_are_null(own_clip: Path) -> None:
    for path in sorted(own_clip.rglob("000*")):
        if int(path.stem) > 0:  # the one frame that is left has no occlusion
            path.unlink()
    (own_clip / "annos.json").unlink()
    done = call("evaluate", own_clip, own_clip, "--json")
    mean = json.loads(done.stdout)["mean"]
    assert mean["mIOU"] == 1
    assert mean["mIOUfo"] is mean["mIOUffo"] is mean["mIOUocc"] is None
    assert " -" in call("evaluate", own_clip, own_clip).stdout


def test_a_natural_clip_is_scored_by_its_visible_masks_alone(
    clip_folder: Path, own_clip: Path
) -> None:
    shutil.rmtree(own_clip / "gt_masks")
    mean = json.loads(call("evaluate", clip_folder, own_clip, "--json").stdout)["mean"]
    assert mean.pop("J_visible") == 1
    assert set(mean.values()) == {None}


def test_clips_on_one_side_only_are_named(clip_folder: Path, own_clip: Path) -> None:
    shutil.copytree(own_clip, own_clip.with_name("tea"))
    done = call("evaluate", own_clip.parent, clip_folder.parent, "--json")
    assert done.returncode == 0
    assert "tea" in done.stderr
    printed = json.loads(done.stdout)
    assert set(printed["clips"]) == {"coffee"}
    assert printed["only_in_prediction"] == ["tea"]
    assert printed["only_in_truth"] == []


def test_hypotheses_in_the_published_layout_are_averaged(
    clip_folder: Path, tmp_path: Path, sample: SampleClip
) -> None:
    """One hypothesis is the truth, the other the visible mask alone."""
    outputs = tmp_path / "OUT" / "EXP" / "TABE51" / "vis" / "coffee" / "final_outputs"
    for name, masks in (("0", sample.amodal), ("1", sample.visible)):
        (outputs / name / "masks").mkdir(parents=True)
        for frame, mask in enumerate(masks):
            save_mask(outputs / name / "masks" / f"{frame}.png", mask.astype(np.uint8) * 255)
    (tmp_path / "visible" / "coffee").mkdir(parents=True)
    write_tabe51(
        tmp_path / "visible" / "coffee",
        sample.clip,
        sample.visible,
        sample.visible,
        sample.occlusion,
        overwrite=True,
    )
    truth = clip_folder.parent
    alone = json.loads(call("evaluate", tmp_path / "visible", truth, "--json").stdout)["mean"]
    both = json.loads(call("evaluate", tmp_path / "OUT", truth, "--json").stdout)["mean"]
    assert both["mIOU"] == pytest.approx((1 + alone["mIOU"]) / 2)
    assert both["mIOUocc"] == 0.5
    assert both["J_visible"] is None


def test_what_cannot_be_scored_is_refused(
    own_clip: Path, clip_folder: Path, tmp_path: Path
) -> None:
    assert_refused(call("evaluate", tmp_path / "nowhere", clip_folder), 2, "nowhere")
    (tmp_path / "empty").mkdir()
    assert_refused(call("evaluate", tmp_path / "empty", clip_folder), 2, "empty", "coffee")
    (own_clip / "gt_masks" / "00003.png").unlink()
    assert_refused(call("evaluate", own_clip, clip_folder), 1, "gt_masks", "frame 3")


def test_reference_clips_have_the_published_figures(shared: Path, tmp_path: Path) -> None:
    """The visible masks taken as amodal ones: a baseline whose published figures are known."""
    goldens = json.loads((shared / "reference" / "pipeline_goldens.json").read_text())["clips"]
    name = "man_behind_horse"
    shutil.copytree(shared / "clips" / name, tmp_path / name)
    shutil.rmtree(tmp_path / name / "gt_masks")
    shutil.copytree(tmp_path / name / "visible_masks", tmp_path / name / "gt_masks")
    done = call("evaluate", tmp_path, shared / "clips", "--json")
    scores = json.loads(done.stdout)["clips"][name]
    for figure, value in goldens[name]["metrics"]["visible"].items():
        assert scores[figure] == (None if value is None else pytest.approx(value, abs=1e-6))


# demo and info


def test_demo_from_scratch_and_again(tmp_path: Path) -> None:
    out = tmp_path / "amodal-demo"
    first = call_installed("demo", "--out", out)
    assert first.returncode == 0, first.stderr
    expected = ["completed", "contact-sheet.png", "side-by-side.mp4", "truth"]
    assert sorted(path.name for path in out.iterdir()) == expected
    for name in ("side-by-side.mp4", "contact-sheet.png", "completed/coffee", "truth/coffee"):
        assert str(out / name) in first.stdout
    row = next(line for line in first.stdout.splitlines() if line.startswith("coffee"))
    amodal, *_, visible = map(float, row.split()[1:])
    assert amodal > 0.7
    assert visible > 0.7
    assert_video(out / "side-by-side.mp4", frames=64)
    again = json.loads(call("evaluate", out / "completed", out / "truth", "--json").stdout)
    assert again["mean"]["mIOU"] == pytest.approx(amodal, abs=1e-4)


def assert_video(path: Path, frames: int) -> None:
    import av

    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == frames
    third = pictures[0].shape[1] // 3
    seen, visible = pictures[0][:, :third], pictures[0][:, third : 2 * third]
    assert np.abs(seen.astype(int) - visible).mean() > 1  # the mask is drawn


def test_demo_replaces_nothing_but_a_demo(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = call("demo", "--out", tmp_path)
    assert_refused(done, 2, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_info_names_versions_engines_and_stages() -> None:
    done = call("info")
    assert done.returncode == 0
    for word in ("numpy", "processor cores", "draft", "tracker flow", "completer shape"):
        assert word in done.stdout
    assert "ready: memory + learned + learned" in done.stdout


def test_info_says_what_third_party_engines_lack(tmp_path: Path) -> None:
    """Another package's engine that needs what is not there, and one that cannot be imported."""
    package = tmp_path / "theirs-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[napari_amodal.engines]\ntheirs = theirs:ENGINE\nbroken = not_there:ENGINE\n"
        "[napari_amodal.trackers]\npatient = theirs:Patient\n"
    )
    (tmp_path / "theirs.py").write_text(
        "from napari_amodal.registry import Engine\n"
        "ENGINE = Engine('theirs', 'from elsewhere', 'patient', 'outline', 'shape')\n"
        "class Patient:\n"
        "    @classmethod\n"
        "    def missing(cls):\n"
        "        return ('weights.pt is not there: fetch it',)\n"
    )
    shown = call_installed("info", PYTHONPATH=search_path(tmp_path)).stdout
    assert "from elsewhere" in shown
    assert "weights.pt is not there: fetch it" in shown
    assert "not_there" in shown
