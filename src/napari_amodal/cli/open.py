"""``napari-amodal open``: a clip or a session in napari, with the panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_amodal.cli.console import reporting
from napari_amodal.errors import CallError


@reporting
def open_in_napari(
    path: Annotated[
        Path,
        typer.Argument(help="A session (NAME.amodal), a TABE-51 folder, a video or a dataset."),
    ],
) -> None:
    """Open a clip or a session in napari, ready to work on."""
    import importlib.util
    import subprocess
    import sys

    if not path.exists():
        raise CallError(f"{path} is not there")
    if importlib.util.find_spec("napari") is None:
        raise CallError("napari is not installed here: pip install napari-amodal[all]")
    panel = ["--with", "napari-amodal", "Amodal completion"]
    command = [sys.executable, "-m", "napari", str(path), "--plugin", "napari-amodal", *panel]
    raise typer.Exit(subprocess.call(command))
