"""Original checkpoints of SAM 2 on the command line: what is none is refused, and never run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_amodal.cli import app
from napari_amodal.weights import locate

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("transformers", reason="the networks need napari-amodal[gpu]")

NAME = "sam2.1-large"


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("key", ["model", "anything"])
def test_code_in_a_checkpoint_is_never_run(store: Path, tmp_path: Path, key: str) -> None:
    file, trace = tmp_path / "sam2.1_hiera_large.pt", tmp_path / "trace"
    torch.save({key: Malicious(trace)}, file)
    run = CliRunner().invoke(app, ["weights", "import", NAME, str(file)])
    assert run.exit_code == 1 and str(file) in run.stderr, run.output
    assert not trace.exists() and locate(NAME) is None
    assert list(store.iterdir()) == []


def test_another_networks_file_is_refused(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "sam2.1_hiera_large.pt"
    torch.save({"model": {"weight": torch.zeros(2)}}, file)
    run = CliRunner().invoke(app, ["weights", "import", NAME, str(file)])
    assert run.exit_code == 1 and str(file) in run.stderr, run.output
    assert locate(NAME) is None
