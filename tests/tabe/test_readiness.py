"""What the engines say they lack: each weight by name with its command, as the settings want it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_amodal import readiness
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.engine import lacks, run
from napari_amodal.errors import CallError
from napari_amodal.formats.opening import open_clip
from napari_amodal.readiness import Lack
from napari_amodal.registry import find_engine
from napari_amodal.stages import Query
from weights.hub import network

TABE = find_engine("tabe")
ALL = ["sam2.1-large", "depth-anything-v2-base", "stable-diffusion-inpainting", "cococo"]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and the networks' packages as if they were here."""
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(readiness, "find_spec", lambda name: name)
    return tmp_path / "store"


def put(store: Path, name: str) -> None:
    (store / name).mkdir(parents=True)
    (store / name / "config.json").write_text("{}")
    (store / name / "model.safetensors").write_bytes(network())


def names(found: tuple[Lack, ...]) -> list[str]:
    return [lack.weight for lack in found]


def clip_with_depth(folder: Path) -> Clip:
    for name in ("frames", "depth"):
        (folder / name).mkdir(parents=True)
        for frame in range(2):
            mode = "RGB" if name == "frames" else "L"
            Image.new(mode, (16, 12), 9).save(folder / name / f"{frame:05d}.png")
    return open_clip(folder)


def test_every_weight_of_every_stage_is_named_once_with_its_command() -> None:
    found = lacks(TABE)
    assert names(found) == ALL  # SAM 2 tracks and reads the generated videos, and is named once
    told = {lack.weight: lack.told for lack in found}
    for name in ALL[:3]:
        assert f"napari-amodal weights fetch {name}" in told[name]
    assert "napari-amodal weights import cococo FOLDER" in told["cococo"]
    assert names(lacks(find_engine("sam2-draft"))) == ["sam2.1-large"]
    assert lacks(find_engine("draft")) == ()


def test_packages_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "find_spec", lambda name: None)
    found = lacks(TABE)
    assert [lack.told.split()[0] for lack in found[:3]] == ["torch", "transformers", "diffusers"]
    assert "pip install 'napari-amodal[gpu]'" in found[0].told
    assert names(found)[3:] == ALL


def test_the_chosen_networks_count(store: Path, tmp_path: Path) -> None:
    put(store, "sam2.1-tiny")
    small = {"sam2": {"size": "tiny"}, "cococo": {"readout": "sam2.1-tiny"}}
    assert names(lacks(TABE, small)) == ALL[1:]
    own = {"sam2": {"weights": str(tmp_path)}, "depth": {"weights": str(tmp_path)}}
    assert names(lacks(TABE, own)) == [*ALL[2:], "sam2.1-large"]
    assert "depth-anything-v2-large" in names(lacks(TABE, {"depth": {"size": "large"}}))


def test_a_clip_with_depth_needs_no_depth_network(tmp_path: Path) -> None:
    named = next(lack.told for lack in lacks(TABE) if lack.weight == ALL[1])
    assert "not needed where the clip has a folder depth/" in named
    clip = clip_with_depth(tmp_path / "clip")
    assert ALL[1] not in names(lacks(TABE, clip=clip))
    assert ALL[1] in names(lacks(TABE, {"depth": {"given": False}}, clip))


def test_a_run_is_refused_before_any_work_and_names_all_of_it() -> None:
    clip = clip_from_array(np.zeros((3, 12, 16, 3), np.uint8))
    with pytest.raises(CallError) as refused:
        run(clip, {1: Query({0: np.ones((12, 16), np.bool_)})}, TABE)
    for name in ALL:
        assert str(refused.value).count(f"the weights {name!r} are not here") == 1
