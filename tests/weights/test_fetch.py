"""Fetching, from a hub on this machine that can break off, lie and be down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="fetching needs napari-amodal[gpu]")

from napari_amodal.errors import CallError, Cancelled, InputError
from napari_amodal.progress import Progress, Watch
from napari_amodal.weights import locate, require
from napari_amodal.weights.catalogue import CATALOGUE
from napari_amodal.weights.fetch import fetch
from napari_amodal.weights.manifest import read_manifest
from napari_amodal.weights.store import check, holding

from .hub import COMMIT, Hub, network

SAM = CATALOGUE["sam2.1-tiny"]
SAM_REPOSITORY = "facebook/sam2.1-hiera-tiny"
DIFFUSION = CATALOGUE["stable-diffusion-inpainting"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library hands on 10 MB at a time; here files are small."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)


@pytest.fixture
def sam(hub: Hub) -> dict[str, bytes]:
    files = {
        "config.json": b"{}",
        "model.safetensors": network(50_000),
        "preprocessor_config.json": b"{ }",
        "sam2.1_hiera_tiny.pt": b"a pickle that nobody wants",
    }
    hub.repositories[SAM_REPOSITORY] = files
    return files


def test_fetches_what_is_needed_and_nothing_else(
    store: Path, hub: Hub, sam: dict[str, bytes]
) -> None:
    seen: list[Progress] = []
    folder = fetch(SAM, Watch(seen.append), endpoint=hub.endpoint)
    assert folder == require(SAM.name) == store / SAM.name
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        assert (folder / name).read_bytes() == sam[name]
    assert not (folder / "sam2.1_hiera_tiny.pt").exists()
    assert hub.ranges_of("sam2.1_hiera_tiny.pt") == []
    manifest = read_manifest(folder)
    assert manifest is not None and manifest.source == f"{SAM_REPOSITORY} at {COMMIT}"
    assert check(holding(SAM.name)) == []
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert len(fractions) > 20  # it moves while the file comes


def test_a_broken_download_goes_on_where_it_broke(
    store: Path, hub: Hub, sam: dict[str, bytes]
) -> None:
    hub.cut_after = 20_000
    with pytest.raises(InputError, match=r"run the same command to go on"):
        fetch(SAM, Watch(), endpoint=hub.endpoint)
    assert locate(SAM.name) is None

    hub.is_down = False
    hub.asked.clear()
    fetch(SAM, Watch(), endpoint=hub.endpoint)
    (asked,) = hub.ranges_of("model.safetensors")
    assert asked == "bytes=20000-"
    assert hub.ranges_of("config.json") == []  # was whole already
    assert (require(SAM.name) / "model.safetensors").read_bytes() == sam["model.safetensors"]
    assert sorted(p.name for p in store.iterdir() if p.suffix != ".lock") == [SAM.name]


def test_cancelled_and_gone_on_with(store: Path, hub: Hub, sam: dict[str, bytes]) -> None:
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        watch = Watch(seen.append, lambda: bool(seen) and seen[-1].fraction > 0.5)
        fetch(SAM, watch, endpoint=hub.endpoint)
    assert locate(SAM.name) is None
    fetch(SAM, Watch(), endpoint=hub.endpoint)
    first, second = hub.ranges_of("model.safetensors")
    assert first is None and second is not None and int(second[6:-1]) > 20_000
    assert check(holding(SAM.name)) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_other_contents_than_listed_are_refused(
    store: Path, hub: Hub, sam: dict[str, bytes], name: str
) -> None:
    wrong = bytearray(sam[name])
    wrong[-1] ^= 1
    hub.instead[name] = bytes(wrong)
    with pytest.raises(InputError, match=rf"{name} of {SAM_REPOSITORY} arrived with other"):
        fetch(SAM, Watch(), endpoint=hub.endpoint)
    assert locate(SAM.name) is None
    assert not list(store.rglob(f"*{name}*"))  # thrown away, not gone on with

    hub.instead.clear()
    fetch(SAM, Watch(), endpoint=hub.endpoint)
    assert check(holding(SAM.name)) == []


def test_half_precision_is_taken_where_there_is_nothing_else(store: Path, hub: Hub) -> None:
    """The repository of Stable Diffusion has its full precision as pickles only."""
    files = {part.choices[0]: b"{}" for part in DIFFUSION.parts if len(part.choices) == 1}
    for network_folder, stem in (
        ("vae", "diffusion_pytorch_model"),
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        files[f"{network_folder}/{stem}.bin"] = b"a pickle"
        files[f"{network_folder}/{stem}.fp16.safetensors"] = network(seed=len(network_folder))
    hub.repositories["someone/inpainting"] = files
    fetch(DIFFUSION, Watch(), repository="someone/inpainting", endpoint=hub.endpoint)
    folder = require(DIFFUSION.name)
    stored = (folder / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert stored == files["vae/diffusion_pytorch_model.fp16.safetensors"]
    assert not list(folder.rglob("*.bin"))

    del files["text_encoder/model.fp16.safetensors"]
    with pytest.raises(InputError, match=r"someone/inpainting has no text_encoder/model\.safet"):
        fetch(
            DIFFUSION, Watch(), repository="someone/inpainting", endpoint=hub.endpoint, replace=True
        )
    assert require(DIFFUSION.name) == folder  # what was there stays


def test_offline_and_what_cannot_be_fetched(
    store: Path, hub: Hub, sam: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CallError, match=r"model_0\.pth .* weights import cococo FOLDER"):
        fetch(CATALOGUE["cococo"], Watch(), endpoint=hub.endpoint)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CallError, match="HF_HUB_OFFLINE is set"):
        fetch(SAM, Watch(), endpoint=hub.endpoint)
    assert hub.asked == []


def test_no_such_repository(store: Path, hub: Hub) -> None:
    with pytest.raises(InputError, match=r"sam2\.1-tiny could not be fetched: .*404"):
        fetch(SAM, Watch(), endpoint=hub.endpoint)


def test_a_full_disk_is_told_before_anything_comes(
    store: Path, hub: Hub, sam: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("napari_amodal.weights.fetch.shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="GB are needed"):
        fetch(SAM, Watch(), endpoint=hub.endpoint)
    assert hub.ranges_of("model.safetensors") == []


def command(hub: Hub, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does, with the hub in the library's own variable."""
    return subprocess.run(
        [sys.executable, "-m", "typer", "napari_amodal.cli", "run", *words],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, "NO_COLOR": "1"},
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_asks_first(store: Path, hub: Hub, sam: dict[str, bytes]) -> None:
    run = command(hub, "weights", "fetch", SAM.name, answer="n\n")
    assert run.returncode == 0
    for told in ("156 MB", "Apache-2.0", f"https://huggingface.co/{SAM_REPOSITORY}", str(store)):
        assert told in run.stderr
    run = command(hub, "weights", "fetch", SAM.name)
    assert run.returncode == 2 and "--yes" in run.stderr
    run = command(hub, "weights", "list", "--json")
    assert run.returncode == 0 and '"absent"' in run.stdout
    assert hub.asked == []  # not until somebody says yes

    run = command(hub, "weights", "fetch", SAM.name, answer="y\n")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"{SAM.name}: {store / SAM.name}"
    before = len(hub.asked)
    assert command(hub, "weights", "fetch", SAM.name, "--yes").returncode == 0
    assert len(hub.asked) == before  # it is there already
