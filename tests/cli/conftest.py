"""A small clip with all its masks, and one run over it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_calls import FRAMES, call_installed, save_mask

from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.sample import SampleClip, sample_clip


@pytest.fixture(scope="session")
def sample() -> SampleClip:
    return sample_clip(frames=FRAMES, height=120)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory, sample: SampleClip) -> Path:
    """The small sample with all its masks, in the TABE-51 layout."""
    folder = tmp_path_factory.mktemp("truth") / "coffee"
    write_tabe51(folder, sample.clip, sample.visible, sample.amodal, sample.occlusion)
    return folder


@pytest.fixture
def own_clip(clip_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(clip_folder, tmp_path / "clips" / "coffee")


@pytest.fixture(scope="session")
def completed(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder and the JSON of one run of the draft engine from the query alone."""
    out = tmp_path_factory.mktemp("completed")
    done = call_installed("run", clip_folder, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.fixture
def two_objects(tmp_path: Path, sample: SampleClip) -> Path:
    """A palette mask, as DAVIS has them: the cup is 2, a patch of lawn is 1."""
    labels = np.zeros((120, 213), np.uint8)
    labels[90:110, 150:190] = 1
    labels[sample.visible[0]] = 2
    return save_mask(tmp_path / "query.png", labels, palette=True)
