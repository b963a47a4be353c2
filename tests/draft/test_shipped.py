"""The networks that come with the package: whole, small, and refused when they were changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_amodal.draft import shipped
from napari_amodal.draft.drawn_stages import LearnedCompleter
from napari_amodal.draft.memory_tracker import MemoryTracker

NETWORKS = sorted(path.name for path in shipped.WEIGHTS.glob("*.onnx"))


def test_each_network_opens_and_has_its_hash() -> None:
    listed = (shipped.WEIGHTS / "sha256sums").read_text().split()[1::2]
    assert sorted(listed) == NETWORKS
    assert len(NETWORKS) == 4
    for name in NETWORKS:
        assert shipped.open_network(shipped.WEIGHTS / name).get_inputs()


def test_all_networks_together_are_small_and_have_their_card() -> None:
    assert sum((shipped.WEIGHTS / name).stat().st_size for name in NETWORKS) < 25e6
    card = " ".join((shipped.WEIGHTS / "README.md").read_text().split())
    for told in (*NETWORKS, "Trained on", "Cannot do", "CC BY 4.0", "BSD-3-Clause"):
        assert told in card


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copy(shipped.WEIGHTS / "sha256sums", tmp_path)
    content = bytearray((shipped.WEIGHTS / name).read_bytes())
    content[1000] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=rf"{name} is not the file .* install the package again"):
        shipped.open_network(tmp_path / name)


def test_what_is_lacking_is_told_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MemoryTracker.missing() == LearnedCompleter.missing() == ()
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    assert "completer.onnx" in LearnedCompleter.missing()[0]
    assert all("install the package again" in told for told in MemoryTracker.missing())
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    assert "pip install onnxruntime" in MemoryTracker.missing()[0]
