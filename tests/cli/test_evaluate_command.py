"""`napari-amodal evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_calls import FRAMES, assert_refused, call, save_mask

from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.sample import SampleClip


def test_the_truth_scores_one_against_itself(clip_folder: Path) -> None:
    done = call("evaluate", clip_folder, clip_folder, "--json")
    scores = json.loads(done.stdout)
    assert set(scores["clips"]) == {"coffee"}
    expected = ["mIOU", "mIOUfo", "mIOUffo", "mIOUocc", "J_visible"]
    assert list(scores["mean"]) == expected
    assert all(value == 1 for value in scores["mean"].values())


def test_a_run_is_scored_with_its_query_frame_left_out(
    completed: tuple[Path, Any], clip_folder: Path
) -> None:
    out, _ = completed
    scores = json.loads(call("evaluate", out, clip_folder.parent, "--json").stdout)["mean"]
    back, true = read_tabe51(out / "coffee"), read_tabe51(clip_folder)
    ious = [
        (back.visible[t] & true.visible[t]).sum() / (back.visible[t] | true.visible[t]).sum()
        for t in range(1, FRAMES)
        if true.visible[t].any()
    ]
    assert scores["J_visible"] == pytest.approx(np.mean(ious))
    assert scores["J_visible"] > 0.5
    assert scores["mIOU"] > 0.5


def test_figures_that_are_not_defined_are_null(own_clip: Path) -> None:
    for path in sorted(own_clip.rglob("000*")):
        if int(path.stem) > 0:  # the one frame that is left has no occlusion
            path.unlink()
    (own_clip / "annos.json").unlink()
    done = call("evaluate", own_clip, own_clip, "--json")
    mean = json.loads(done.stdout)["mean"]
    assert mean["mIOU"] == 1
    assert mean["mIOUfo"] is mean["mIOUffo"] is mean["mIOUocc"] is None
    assert " -" in call("evaluate", own_clip, own_clip).stdout


def test_a_natural_clip_is_scored_by_its_visible_masks_alone(
    clip_folder: Path, own_clip: Path
) -> None:
    shutil.rmtree(own_clip / "gt_masks")
    mean = json.loads(call("evaluate", clip_folder, own_clip, "--json").stdout)["mean"]
    assert mean.pop("J_visible") == 1
    assert set(mean.values()) == {None}


def test_clips_on_one_side_only_are_named(clip_folder: Path, own_clip: Path) -> None:
    shutil.copytree(own_clip, own_clip.with_name("tea"))
    done = call("evaluate", own_clip.parent, clip_folder.parent, "--json")
    assert done.returncode == 0
    assert "tea" in done.stderr
    printed = json.loads(done.stdout)
    assert set(printed["clips"]) == {"coffee"}
    assert printed["only_in_prediction"] == ["tea"]
    assert printed["only_in_truth"] == []


def test_hypotheses_in_the_published_layout_are_averaged(
    clip_folder: Path, tmp_path: Path, sample: SampleClip
) -> None:
    """One hypothesis is the truth, the other the visible mask alone."""
    outputs = tmp_path / "OUT" / "EXP" / "TABE51" / "vis" / "coffee" / "final_outputs"
    for name, masks in (("0", sample.amodal), ("1", sample.visible)):
        (outputs / name / "masks").mkdir(parents=True)
        for frame, mask in enumerate(masks):
            save_mask(outputs / name / "masks" / f"{frame}.png", mask.astype(np.uint8) * 255)
    (tmp_path / "visible" / "coffee").mkdir(parents=True)
    write_tabe51(
        tmp_path / "visible" / "coffee",
        sample.clip,
        sample.visible,
        sample.visible,
        sample.occlusion,
        overwrite=True,
    )
    truth = clip_folder.parent
    alone = json.loads(call("evaluate", tmp_path / "visible", truth, "--json").stdout)["mean"]
    both = json.loads(call("evaluate", tmp_path / "OUT", truth, "--json").stdout)["mean"]
    assert both["mIOU"] == pytest.approx((1 + alone["mIOU"]) / 2)
    assert both["mIOUocc"] == 0.5
    assert both["J_visible"] is None


def test_what_cannot_be_scored_is_refused(
    own_clip: Path, clip_folder: Path, tmp_path: Path
) -> None:
    assert_refused(call("evaluate", tmp_path / "nowhere", clip_folder), 2, "nowhere")
    (tmp_path / "empty").mkdir()
    assert_refused(call("evaluate", tmp_path / "empty", clip_folder), 2, "empty", "coffee")
    (own_clip / "gt_masks" / "00003.png").unlink()
    assert_refused(call("evaluate", own_clip, clip_folder), 1, "gt_masks", "frame 3")


def test_reference_clips_have_the_published_figures(shared: Path, tmp_path: Path) -> None:
    """The visible masks taken as amodal ones: a baseline whose published figures are known."""
    goldens = json.loads((shared / "reference" / "pipeline_goldens.json").read_text())["clips"]
    name = "man_behind_horse"
    shutil.copytree(shared / "clips" / name, tmp_path / name)
    shutil.rmtree(tmp_path / name / "gt_masks")
    shutil.copytree(tmp_path / name / "visible_masks", tmp_path / name / "gt_masks")
    done = call("evaluate", tmp_path, shared / "clips", "--json")
    scores = json.loads(done.stdout)["clips"][name]
    for figure, value in goldens[name]["metrics"]["visible"].items():
        assert scores[figure] == (None if value is None else pytest.approx(value, abs=1e-6))
