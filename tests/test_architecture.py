"""Imports point one way, and opening the package stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What must not be imported by opening the package, its core or its command line.
HEAVY = (
    "napari",
    "qtpy",
    "PyQt5",
    "PyQt6",
    "PySide6",
    "magicgui",
    "superqt",
    "torch",
    "onnxruntime",
)


def test_imports_point_one_way() -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == EXIT_STATUS_SUCCESS


def test_every_module_has_its_place() -> None:
    """A new module must be named in the layers, or nothing holds it."""
    layers = (ROOT / "pyproject.toml").read_text().split("layers = [")[1].split("]")[0]
    package = ROOT / "src" / "napari_amodal"
    for entry in package.iterdir():
        if entry.suffix == ".py" or (entry / "__init__.py").exists():
            name = entry.stem
            assert name == "__init__" or f"napari_amodal.{name}" in layers, name


@pytest.mark.parametrize(
    "module",
    [
        "napari_amodal",
        "napari_amodal.cli",
        "napari_amodal.draft.drawn_stages",
        "napari_amodal.draft.flow_tracker",
        "napari_amodal.draft.memory_tracker",
        "napari_amodal.draft.occlusion",
        "napari_amodal.draft.shape_completer",
        "napari_amodal.export",
        "napari_amodal.formats.opening",
        "napari_amodal.sample",
        "napari_amodal.tabe.weight_import",
        "napari_amodal.weights.fetch",
    ],
)
def test_opening_imports_neither_a_window_nor_a_network(module: str) -> None:
    code = (
        f"import sys, {module}; "
        f"print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({HEAVY!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
