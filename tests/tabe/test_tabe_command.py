"""The engine `tabe` through the installed command; its networks tiny and random."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from tiny import write_weights
from tiny_sam2 import disc, moving_disc

from napari_amodal.formats.tabe51 import read_tabe51

COMMAND = Path(sys.executable).with_name("napari-amodal")
FRAMES = 6
FEW = ("hypotheses=2", "fit_steps=2", "sampling_steps=2", "size=128")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of frames, and a query mask beside it."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for frame, pixels in enumerate(moving_disc(FRAMES)):
        Image.fromarray(pixels).save(folder / f"{frame:05d}.png")
    Image.fromarray(disc(0).astype(np.uint8) * 255).save(tmp_path / "query.png")
    return folder


def call(weights: Path, cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    surroundings = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    places = {"NAPARI_AMODAL_WEIGHTS": str(weights), "NAPARI_AMODAL_CACHE": str(cache)}
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        env={**surroundings, **places, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def run(
    weights: Path, clip: Path, out: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    changes = [word for change in FEW for word in ("--set", f"cococo.{change}")]
    cache = clip.parent / "cache"
    return call(weights, cache, "run", clip, "--engine", "tabe", "--out", out, *changes, *arguments)


def test_a_mask_becomes_a_clip_folder(weights: Path, clip: Path, tmp_path: Path) -> None:
    query = ("--query", tmp_path / "query.png")
    done = run(weights, clip, tmp_path / "out", *query, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"] == "tabe"
    for stage in ("Tracking", "Finding what hides it", "Generating hidden parts"):
        assert stage in done.stderr
    found = read_tabe51(tmp_path / "out" / "clip")
    assert (found.visible[0] == disc(0)).all() and len(found.amodal) == FRAMES
    assert found.provenance is not None
    assert {s["device"] for s in found.provenance["settings"].values()} == {"cpu"}

    again = run(weights, clip, tmp_path / "again", *query, "--device", "cpu")
    assert again.returncode == 0, again.stderr
    for frame in range(FRAMES):  # the same seed on the same device, and the fit is kept
        name = Path("clip", "gt_masks", f"{frame:05d}.png")
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_clicks_and_boxes_of_two_objects(weights: Path, clip: Path, tmp_path: Path) -> None:
    prompts = ("--click", "0:20,12", "--outside", "0:40,60", "--box", "2@3:10,5,32,28")
    done = run(weights, clip, tmp_path / "out", *prompts, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert [found["object"] for found in json.loads(done.stdout)["objects"]] == [1, 2]
    found = read_tabe51(tmp_path / "out" / "clip-1")
    assert found.provenance is not None and found.provenance["clicked_frames"] == [3]
    assert {frame["visible"] for frame in found.provenance["frames"]} == {"tracked"}


def test_missing_weights_are_all_named_before_any_work(clip: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "none", clip, tmp_path / "out", "--query", tmp_path / "query.png")
    assert done.returncode == 2
    for name in ("fetch sam2.1-large", "fetch depth-anything-v2-base", "import cococo FOLDER"):
        assert f"napari-amodal weights {name}" in done.stderr
    assert "Tracking" not in done.stderr and not (tmp_path / "out").exists()
