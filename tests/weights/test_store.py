"""What is where: folders of one's own, the Hugging Face cache, what is whole and what is not."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_amodal.cli import app
from napari_amodal.errors import CallError, InputError
from napari_amodal.progress import Watch
from napari_amodal.weights import locate, require, variant
from napari_amodal.weights.adopt import adopt
from napari_amodal.weights.catalogue import CATALOGUE, HubSource
from napari_amodal.weights.store import Presence, check, folders, holding

from .hub import network

SAM = CATALOGUE["sam2.1-large"]
DIFFUSION = CATALOGUE["stable-diffusion-inpainting"]


def write_sam(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam2_video"}')
    (folder / "model.safetensors").write_bytes(network(seed=seed))
    return folder


def write_diffusion(folder: Path, ending: str = ".safetensors") -> Path:
    """The layout of Stable Diffusion with networks in one of its ways of storing them."""
    for part in DIFFUSION.parts:
        name = part.choices[0]
        if name.endswith(".safetensors"):
            name = name.replace(".safetensors", ending)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(network() if "safetensors" in ending else b"{}")
    for mark in DIFFUSION.marks:
        (folder / mark.file).write_text(json.dumps({mark.key: mark.values[0]}))
    return folder


def test_the_catalogue_tells_what_is_accepted() -> None:
    for weight in CATALOGUE.values():
        assert weight.size > 1e7 and weight.stages and weight.parts
        assert weight.licence.name and weight.licence.url.startswith("https://")
        assert weight.source.page.startswith("https://")
        if isinstance(weight.source, HubSource):
            networks = [p for p in weight.parts if p.choices[0].endswith(".safetensors")]
            assert networks  # nothing else that holds tensors is ever fetched
            allowed = (".safetensors", ".json", ".txt")
            assert all(c.endswith(allowed) for p in weight.parts for c in p.choices)
    assert CATALOGUE["depth-anything-v2-small"].licence.name == "Apache-2.0"
    assert CATALOGUE["depth-anything-v2-base"].licence.name == "CC-BY-NC-4.0"


def test_what_is_not_there_names_the_command(store: Path) -> None:
    assert locate(SAM.name) is None
    with pytest.raises(CallError, match=r"'sam2\.1-large' are not here: napari-amodal weights fe"):
        require(SAM.name)
    with pytest.raises(CallError, match="napari-amodal weights import cococo FOLDER"):
        require("cococo")
    with pytest.raises(CallError, match="there are no weights 'sam3': choose from sam2"):
        require("sam3")
    write_sam(store / SAM.name)
    assert require(SAM.name) == store / SAM.name
    (store / SAM.name / "model.safetensors").unlink()
    assert locate(SAM.name) is None
    with pytest.raises(CallError, match=r"lack model\.safetensors: napari-amodal weights fetch"):
        require(SAM.name)


def test_several_folders_and_the_hubs_names(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "of the group"
    write_sam(shared / "sam2.1-hiera-large")
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", os.pathsep.join(map(str, (store, shared))))
    assert folders() == (store, shared)
    assert require(SAM.name) == shared / "sam2.1-hiera-large"
    write_sam(store / SAM.name)
    assert require(SAM.name) == store / SAM.name  # the first wins


def test_what_lies_in_the_hugging_face_cache_is_found(store: Path, tmp_path: Path) -> None:
    snapshots = tmp_path / "hub-cache" / "models--facebook--sam2.1-hiera-large" / "snapshots"
    folder = write_sam(snapshots / "0123456789abcdef")
    (snapshots / "another").mkdir()
    (snapshots / "another" / "config.json").write_text("{}")
    assert require(SAM.name) == folder


def test_the_folder_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_AMODAL_WEIGHTS", raising=False)
    (folder,) = folders()
    assert folder.is_relative_to(Path.home()) and "napari-amodal" in folder.parts


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_of_ones_own_is_taken_in(store: Path, tmp_path: Path, copy: bool) -> None:
    own = write_diffusion(tmp_path / "own", ".fp16.safetensors")
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    adopt(DIFFUSION, own, Watch(), copy=copy)
    folder = require(DIFFUSION.name)
    stored = folder / "vae" / "diffusion_pytorch_model.safetensors"
    assert stored.is_symlink() is not copy and stored.read_bytes() == network()
    assert variant(folder / "vae") is None and variant(own / "vae") == "fp16"
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before

    with pytest.raises(CallError, match="is there already: say --replace"):
        adopt(DIFFUSION, own, Watch(), copy=copy)
    shutil.rmtree(own)
    assert (locate(DIFFUSION.name) is None) is not copy


def test_pickles_of_ones_own_are_not_taken(store: Path, tmp_path: Path) -> None:
    own = write_diffusion(tmp_path / "own", ".bin")
    with pytest.raises(CallError, match=r"\.bin is a pickle file, which may run code and is not"):
        adopt(DIFFUSION, own, Watch())
    assert not (store / DIFFUSION.name).exists()


def test_half_a_file_is_not_taken(store: Path, tmp_path: Path) -> None:
    own = write_sam(tmp_path / "own")
    whole = network()
    (own / "model.safetensors").write_bytes(whole[:-5])
    with pytest.raises(InputError, match=f"has {len(whole) - 5} bytes, its header tells"):
        adopt(SAM, own, Watch())
    (own / "model.safetensors").write_bytes(b"<html>you have to log in first</html>")
    with pytest.raises(InputError, match="is no safetensors file"):
        adopt(SAM, own, Watch())
    assert not store.exists()


def test_check_finds_what_has_changed(store: Path, tmp_path: Path) -> None:
    adopt(SAM, write_sam(tmp_path / "own"), Watch(), copy=True)
    run = CliRunner().invoke(app, ["weights", "list", "--check", "--json"])
    assert run.exit_code == 0
    network_file = store / SAM.name / "model.safetensors"
    changed = bytearray(network_file.read_bytes())
    changed[-1] ^= 1
    network_file.write_bytes(changed)
    assert holding(SAM.name).presence is Presence.THERE  # looking at sizes alone is quick
    assert check(holding(SAM.name)) == ["model.safetensors has other contents than were stored"]
    run = CliRunner().invoke(app, ["weights", "list", "--check", "--json"])
    assert run.exit_code == 1 and "other contents" in run.stdout

    network_file.write_bytes(changed[:-1])
    assert holding(SAM.name).presence is Presence.INCOMPLETE
    with pytest.raises(CallError, match=r"the whole of model\.safetensors"):
        require(SAM.name)


def test_list_and_import_on_the_command_line(store: Path, tmp_path: Path) -> None:
    own = write_sam(tmp_path / "own")
    run = CliRunner().invoke(app, ["weights", "import", SAM.name, str(own), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["path"] == str(store / SAM.name)
    run = CliRunner().invoke(app, ["weights", "list", "--json"])
    records = {record["name"]: record for record in json.loads(run.stdout)}
    assert list(records) == list(CATALOGUE)
    assert records[SAM.name]["presence"] == "there"
    size = sum(file.stat().st_size for file in own.iterdir())
    assert records[SAM.name]["size"] == size
    assert records["cococo"] | {"presence": "absent", "path": None} == records["cococo"]
    run = CliRunner().invoke(app, ["weights", "list"])
    for weight in CATALOGUE.values():
        assert weight.name in run.stdout and weight.licence.name in run.stdout
        assert weight.source.page in run.stdout
    run = CliRunner().invoke(app, ["weights", "import", SAM.name, str(tmp_path / "nowhere")])
    assert run.exit_code == 2 and "not a folder that is there" in run.stderr


def test_another_network_is_not_taken(store: Path, tmp_path: Path) -> None:
    own = write_sam(tmp_path / "own")
    with pytest.raises(CallError, match=r"config\.json describes another network than depth-any"):
        adopt(CATALOGUE["depth-anything-v2-base"], own, Watch())
    (own / "config.json").write_text("not JSON")
    with pytest.raises(InputError, match=r"config\.json cannot be read as JSON"):
        adopt(SAM, own, Watch())
    assert not store.exists()


def test_another_size_is_not_taken(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_sam(tmp_path / "own")
    size = (own / "model.safetensors").stat().st_size
    small = replace(CATALOGUE["sam2.1-small"], size=size)
    monkeypatch.setitem(CATALOGUE, "sam2.1-small", small)
    with pytest.raises(CallError, match=r"is SAM 2\.1, small: import it as sam2\.1-small"):
        adopt(SAM, own, Watch())
    adopt(small, own, Watch())
