"""What holds for the command whatever it is told to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_calls import call, call_installed, search_path


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


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "--no-such"), ("nonsense",), ("evaluate", "one")]
)
def test_a_wrong_call_ends_with_status_2(arguments: tuple[str, ...]) -> None:
    done = call_installed(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr
