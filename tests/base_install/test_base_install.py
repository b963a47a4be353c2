"""The base install: the command line works with no window, no screen and no network library."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

EXTRAS = ("torch", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "napari")

pytestmark = pytest.mark.skipif(
    any(find_spec(name) for name in EXTRAS),
    reason="this environment holds more than the base install; tox -e base makes one",
)


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command on a machine without a screen."""
    program = shutil.which("napari-amodal")
    assert program is not None, "the package is not installed"
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [program, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )


def test_the_demo_runs(tmp_path: Path) -> None:
    run = command("demo", "--out", "made", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert list((tmp_path / "made").rglob("gt_masks/*.png"))


def test_info_names_the_draft_engine(tmp_path: Path) -> None:
    run = command("info", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "draft" in run.stdout
