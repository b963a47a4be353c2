"""Original SAM 2 checkpoints into the store: converted, recorded, and under the right name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_sam2 import write_tiny_sam2

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
transformers = pytest.importorskip("transformers", reason="the networks need napari-amodal[gpu]")

from napari_amodal.errors import CallError  # noqa: E402
from napari_amodal.progress import Watch  # noqa: E402
from napari_amodal.tabe import sam2_checkpoint  # noqa: E402
from napari_amodal.tabe.weight_import import import_weight  # noqa: E402
from napari_amodal.weights import locate, require  # noqa: E402
from napari_amodal.weights.manifest import read_manifest  # noqa: E402
from napari_amodal.weights.store import check, holding  # noqa: E402


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return tmp_path / "store"


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is read as a tiny network: published sizes are too large for a test."""
    folder = write_tiny_sam2(tmp_path / "tiny")
    model = transformers.Sam2VideoModel.from_pretrained(folder)
    monkeypatch.setattr(sam2_checkpoint, "model_of_checkpoint", lambda _: model)
    file = tmp_path / "sam2.1_hiera_tiny.pt"
    file.write_bytes(b"the network of the fixture")
    return file


def test_a_converted_checkpoint_is_as_good_as_a_fetched_one(store: Path, original: Path) -> None:
    folder = import_weight("sam2.1-tiny", [original], Watch())
    assert folder == require("sam2.1-tiny") == store / "sam2.1-tiny"
    transformers.Sam2VideoModel.from_pretrained(folder, local_files_only=True)
    manifest = read_manifest(folder)
    assert manifest is not None and str(original) in manifest.source
    assert check(holding("sam2.1-tiny")) == []
    assert [path.name for path in store.iterdir()] == ["sam2.1-tiny"]


def test_another_size_is_refused(
    store: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = json.loads((original.parent / "tiny" / "config.json").read_text())
    blocks = tuple(converted["vision_config"]["backbone_config"]["blocks_per_stage"])
    monkeypatch.setattr(
        sam2_checkpoint, "SIZES", (sam2_checkpoint.Size("small", 12, 1, blocks, (4, 4, 4)),)
    )
    with pytest.raises(CallError, match=r"is of the size small: import it as sam2\.1-small"):
        import_weight("sam2.1-tiny", [original], Watch())
    assert locate("sam2.1-tiny") is None
