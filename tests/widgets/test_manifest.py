"""The manifest: valid, installed as it stands, and what it names can be imported."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

TOP = Path(__file__).parents[2] / "napari.yaml"


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-amodal")


def test_installed_manifest_is_the_one_at_the_top() -> None:
    if not TOP.is_file():
        pytest.skip("not a checkout")
    installed = (files("napari_amodal_manifest") / "napari.yaml").read_text()
    assert installed == TOP.read_text(), (
        "napari.yaml was changed after the package was installed: install it again "
        "(pip install -e .)"
    )


def test_every_command_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_readers_are_cheap_to_ask() -> None:
    """napari asks them about every path that is opened: they bring in neither Qt nor the core."""
    code = (
        "import sys, napari_amodal.widgets.readers as r; "
        "assert r.get_folder_reader('/nowhere') is None and r.get_video_reader('/x.mp4') is None; "
        "heavy = {'napari', 'qtpy', 'dask', 'cv2', 'av', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
