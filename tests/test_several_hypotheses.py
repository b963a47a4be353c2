"""An engine that gives several hypotheses: run and batch write all of them, evaluate reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_amodal import registry
from napari_amodal.batch.clip_job import ClipJob, Method, complete_clip, is_done
from napari_amodal.batch.outcome import Status
from napari_amodal.cli import app
from napari_amodal.clip import Clip
from napari_amodal.engine import run
from napari_amodal.errors import CallError
from napari_amodal.export import annotation_of, export
from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.masks import MaskStack
from napari_amodal.metrics import amodal_scores
from napari_amodal.registry import StageKind, find_engine
from napari_amodal.sample import SampleClip, sample_clip
from napari_amodal.stages import Hypothesis, Query
from still_engine import SameCompleter

ENGINE = "flow+outline+three"


def widened(masks: MaskStack, by: int) -> MaskStack:
    element = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    wide = (cv2.dilate(mask.view(np.uint8), element) > 0 for mask in masks)
    return MaskStack(wide, masks.height, masks.width)


class ThreeCompleter(SameCompleter):
    """What is seen, and two guesses that are wider."""

    def complete(
        self, clip: Clip, queries: Any, tracks: Any, occlusions: Any, watch: Any
    ) -> Mapping[int, tuple[Hypothesis, ...]]:
        return {
            number: tuple(Hypothesis(widened(track.masks, by), 1 / (by + 1)) for by in (0, 2, 5))
            for number, track in tracks.items()
        }


@pytest.fixture(autouse=True)
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry._entry_points

    def with_ours(group: str) -> dict[str, EntryPoint]:
        point = EntryPoint("three", f"{__name__}:ThreeCompleter", str(group))
        ours = {"three": point} if group == StageKind.COMPLETER else {}
        return {**found(group), **ours}

    monkeypatch.setattr(registry, "_entry_points", with_ours)


@pytest.fixture(scope="module")
def sample() -> SampleClip:
    return sample_clip(frames=6, height=90)


@pytest.fixture
def truth(tmp_path: Path, sample: SampleClip) -> Path:
    folder = tmp_path / "truth"
    for name in ("one", "two"):
        clip = Clip(name, sample.clip.frames)
        write_tabe51(folder / name, clip, sample.visible, sample.amodal, sample.occlusion)
    return folder


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_run_writes_all_and_evaluate_scores_all(
    tmp_path: Path, truth: Path, sample: SampleClip
) -> None:
    out = tmp_path / "out"
    call(
        "run", truth / "one", "--visible", "given", "--engine", ENGINE, "--out", out, "--hypotheses"
    )
    method = Method(ENGINE, {}, given=True)
    job = ClipJob(truth / "two", out, method, every_hypothesis=True)
    assert complete_clip(job, lambda: False).status is Status.DONE
    assert is_done(job)
    bare = ClipJob(truth / "one", tmp_path / "bare", method)
    assert complete_clip(bare, lambda: False).status is Status.DONE
    assert not read_tabe51(bare.target).hypotheses
    with pytest.raises(CallError, match="without its 3 hypotheses"):
        is_done(replace(bare, every_hypothesis=True))
    expected = [widened(sample.visible, by) for by in (0, 2, 5)]
    for name in ("one", "two"):
        back = read_tabe51(out / name)
        assert list(back.hypotheses) == ["0", "1", "2"]
        for masks, guess in zip(back.hypotheses.values(), expected, strict=True):
            assert all((masks[frame] == guess[frame]).all() for frame in range(6))
        assert all((back.amodal[frame] == expected[0][frame]).all() for frame in range(6))

    found = json.loads(call("evaluate", out, truth, "--json", "--report", tmp_path / "r.html"))
    levels = [one.level for one in sample.occlusion]
    values = [
        amodal_scores(guess, sample.amodal, sample.visible, levels).all_frames for guess in expected
    ]
    assert found["hypotheses"] == {"one": 3, "two": 3}
    assert found["mean"]["mIOU"] == pytest.approx(fmean(values))
    assert found["std"]["two"]["mIOU"] == pytest.approx(stdev(values))
    assert found["mean_stderr"]["mIOU"] == pytest.approx(stdev(values) / np.sqrt(3))
    assert "data:image/jpeg" in (tmp_path / "r.html").read_text()


def test_what_was_corrected_is_one_truth(tmp_path: Path, sample: SampleClip) -> None:
    clip = Clip("clip", sample.clip.frames)
    completion = run(
        clip,
        {1: Query({0: sample.visible[0]})},
        find_engine(ENGINE),
        visible={1: sample.visible},
    )
    made = annotation_of(completion, 1, every_hypothesis=True)
    export(tmp_path, clip, {1: made}, completion)
    assert len(read_tabe51(tmp_path / "clip").hypotheses) == 3
    assert made.edited(made.visible, made.amodal).hypotheses == made.hypotheses
    corrected = made.edited(made.visible, made.amodal.replaced({3: ~sample.visible[3]}))
    export(tmp_path, clip, {1: corrected}, completion, overwrite=True)
    assert not (tmp_path / "clip/hypotheses").exists()
    assert read_tabe51(tmp_path / "clip").hypotheses == {}
