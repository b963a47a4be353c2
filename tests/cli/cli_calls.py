"""Calls of the command, as a person or a script makes them, and how they ended."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_amodal.cli import app

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


def search_path(first: Path) -> str:
    """``PYTHONPATH`` with a folder put before what is in it."""
    return os.pathsep.join([str(first), *filter(None, [os.environ.get("PYTHONPATH")])])


def save_mask(path: Path, pixels: np.ndarray, palette: bool = False) -> Path:
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    image.save(path)
    return path
