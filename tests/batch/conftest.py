"""A set of small clips, and the command with an engine of a known pace."""

from __future__ import annotations

import os
from pathlib import Path

import paced_engine
import pytest
from batch_calls import CLIPS, FRAMES, Paced

from napari_amodal.clip import Clip
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.sample import sample_clip


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The surroundings of processes that find the paced engine."""
    path = paced_engine.install(tmp_path_factory.mktemp("paced"))
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six clips with their first mask."""
    sample = sample_clip(frames=FRAMES, height=60)
    for name in CLIPS:
        clip = Clip(name, sample.clip.frames)
        folder = tmp_path / "set" / name
        write_tabe51(folder, clip, sample.visible, sample.amodal, sample.occlusion)
    return tmp_path / "set"


@pytest.fixture
def paced(dataset: Path, tmp_path: Path, environment: dict[str, str]) -> Paced:
    return Paced(dataset, tmp_path / "out", tmp_path / "begun.txt", environment)
