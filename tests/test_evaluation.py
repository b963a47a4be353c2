"""Scoring whole sets, several hypotheses, and the report."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_amodal.cli import app
from napari_amodal.clip import Clip
from napari_amodal.evaluation import match_clips, score_clip, score_set, set_scores
from napari_amodal.formats.mask_png import write_mask
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.masks import MaskStack
from napari_amodal.metrics import amodal_scores
from napari_amodal.sample import sample_clip

FRAMES = 6
CLIPS = ("a<b>&", "clip-2", "clip-3", "clip-4", "clip-5", "clip-6")


def widened(masks: MaskStack, by: int) -> MaskStack:
    element = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    wide = (cv2.dilate(mask.view(np.uint8), element) > 0 for mask in masks)
    return MaskStack(wide, masks.height, masks.width)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    sample = sample_clip(frames=FRAMES, height=90)
    for name in CLIPS:
        clip = Clip(name, sample.clip.frames)
        write_tabe51(folder / name, clip, sample.visible, sample.amodal, sample.occlusion)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hypotheses of each clip in the published layout, each wider than the one before."""
    out = tmp_path_factory.mktemp("published")
    sample = sample_clip(frames=FRAMES, height=90)
    for at, name in enumerate(CLIPS):
        for hypothesis in range(3):
            folder = out / f"exp/TABE51/vis/{name}/final_outputs/{hypothesis}/masks"
            folder.mkdir(parents=True)
            for frame, mask in enumerate(widened(sample.amodal, at + hypothesis)):
                write_mask(folder / f"{frame}.png", mask)
    return out


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_hypotheses_are_scored_one_by_one(truth: Path, published: Path) -> None:
    sample = sample_clip(frames=FRAMES, height=90)
    levels = [occlusion.level for occlusion in sample.occlusion]
    pairs = match_clips(published, truth).pairs
    found = score_clip(*pairs["clip-2"])
    by_hand = [
        amodal_scores(widened(sample.amodal, 1 + h), sample.amodal, sample.visible, levels)
        for h in range(3)
    ]
    assert [h.scores.miou for h in found.hypotheses] == [one.all_frames for one in by_hand]
    values = [one.hidden_part for one in by_hand if one.hidden_part is not None]
    spread = found.spread
    assert spread.mean.miou_occ == pytest.approx(fmean(values))
    assert spread.deviation.miou_occ == pytest.approx(stdev(values))
    assert spread.error.miou_occ == pytest.approx(stdev(values) / 3**0.5)
    assert found.amodal == pytest.approx(
        tuple(fmean(h.amodal[f] for h in found.hypotheses) for f in range(FRAMES))
    )


def test_a_set_is_scored_alike_in_one_process_and_in_several(truth: Path, published: Path) -> None:
    pairs = match_clips(published, truth).pairs
    alone = {one.name: one.scores for one in score_set(pairs, workers=1) if one.scores}
    spread = {one.name: one.scores for one in score_set(pairs, workers=2) if one.scores}
    assert alone == spread
    whole = set_scores(alone)
    runs = [fmean(clip.hypotheses[h].scores.miou or 0 for clip in alone.values()) for h in range(3)]
    assert whole.hypotheses == 3
    assert whole.mean.miou == pytest.approx(fmean(runs))
    assert whole.over_hypotheses.deviation.miou == pytest.approx(stdev(runs))
    assert whole.over_hypotheses.error.miou == pytest.approx(stdev(runs) / 3**0.5)


def test_json_has_the_spread_where_there_are_several(truth: Path, published: Path) -> None:
    found = json.loads(call("evaluate", published, truth, "--json"))
    assert found["hypotheses"] == dict.fromkeys(CLIPS, 3)
    ratio = found["std"]["clip-3"]["mIOU"] / found["stderr"]["clip-3"]["mIOU"]
    assert ratio == pytest.approx(3**0.5)
    assert "std" not in json.loads(call("evaluate", truth, truth, "--json"))
    table = call("evaluate", published, truth).splitlines()
    assert table[-1].startswith("std error")
    assert all("±" in line for line in table[1:-1])


class _Page(HTMLParser):
    """Checks that tags close, and gathers what a page would load."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_whole_page_that_loads_nothing(
    truth: Path, published: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    call("evaluate", published, truth, "--against", truth, "--report", file)
    text = file.read_text("utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert all(where.startswith(("#", "data:image/jpeg;base64,")) for where in page.loaded)
    assert not re.search(r"https?://|@import|url\(", text)
    assert page.count["svg"] == len(CLIPS)
    assert page.count["img"] >= 2 * len(CLIPS)  # a worst frame of each clip, of both runs
    assert page.count["polyline"] == len(CLIPS) * (3 + 1 + 1)
    assert "<b>" not in text
    assert "a&lt;b&gt;&amp;" in text
    for anchor in (where for where in page.loaded if where.startswith("#")):
        assert f'id="{anchor[1:]}"' in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_clip_that_cannot_be_scored_is_named_and_costs_no_other(
    truth: Path, published: Path, tmp_path: Path
) -> None:
    truth = shutil.copytree(truth, tmp_path / "truth")
    broken = next((truth / CLIPS[0] / "gt_masks").iterdir())
    broken.write_bytes(b"no mask")
    done = CliRunner().invoke(app, ["evaluate", str(published), str(truth), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert set(told["clips"]) == set(CLIPS[1:])
    assert broken.name in told["not_scored"][CLIPS[0]]
    assert f"not scored: {CLIPS[0]}: " in done.stderr
    alone = CliRunner().invoke(app, ["evaluate", str(truth / CLIPS[0]), str(truth / CLIPS[0])])
    assert alone.exit_code == 1
    assert "cannot be scored" in alone.stderr and alone.stdout == ""


def test_runs_are_compared_over_the_clips_that_both_have(
    truth: Path, published: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    shutil.copytree(truth / CLIPS[0], few / CLIPS[0])
    file = tmp_path / "report.html"
    call("evaluate", truth, truth, "--against", few, "--report", file)
    text = file.read_text("utf-8")
    assert "mean, over the 1 clips of both runs" in text
    assert '<span class="soft">0.000</span>' in text


def test_a_report_that_is_there_is_kept_unless_told(truth: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("mine")
    done = CliRunner().invoke(app, ["evaluate", str(truth), str(truth), "--report", str(file)])
    assert done.exit_code == 2
    assert file.read_text() == "mine"
