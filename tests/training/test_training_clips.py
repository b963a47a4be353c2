"""Composed clips: what is drawn is what the masks say. Needs PyTorch and Triton; no card."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
pytest.importorskip("triton")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

import compose_motion  # noqa: E402
from compose_banks import MIPS, FrameBank, ShapeBank, _bar, _blob, _drawn, _stick_figure  # noqa: E402
from tracker_loss import tracking_loss  # noqa: E402
from tracker_network import Answer, Tracker, Widths  # noqa: E402

import compose  # noqa: E402

DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def banks() -> tuple[FrameBank, ShapeBank]:
    """Frames of noise, and a few shapes of each made kind."""
    rng = np.random.default_rng(0)
    parts = []
    for level in range(MIPS):
        pixels = rng.integers(0, 2**24, (6, 90 >> level, 160 >> level))
        parts.append(torch.from_numpy(pixels.astype(np.int32)).flatten())
    frames = FrameBank(torch.cat(parts), 90, 160, 6, torch.tensor([[0, 4], [4, 2]]))
    sequences = [_stick_figure(rng, 8), _blob(rng)[None], _drawn(rng)[None], _bar(rng)[None]]
    starts = np.cumsum([0, *map(len, sequences)])
    spans = torch.tensor([[s, len(q)] for s, q in zip(starts, sequences, strict=False)])
    kinds = {"real": (0, 1), "sticks": (0, 1), "blobs": (1, 2), "drawn": (2, 3), "bars": (3, 4)}
    shapes = torch.from_numpy(np.concatenate(sequences))
    return frames, ShapeBank(shapes, spans, kinds, torch.full((len(shapes), 4), -1.0))


def test_masks_are_within_0_and_1_and_hidden_shares_follow_from_them(banks) -> None:
    torch.manual_seed(0)
    batch = compose.Maker(*banks, batch=6, length=4, side=32).make()
    assert batch.images.shape == (6, 4, 3, 32, 32)
    assert batch.masks.min() >= 0
    assert batch.masks.max() <= 1
    assert batch.images.isfinite().all()
    assert batch.hidden.max() <= 1
    seen = batch.masks.float().mean((2, 3))
    assert torch.all(seen[batch.hidden > 0.999] < 1e-3)
    assert batch.valid.sum() >= 2


def test_the_same_seed_makes_the_same_clips(banks) -> None:
    maker = compose.Maker(*banks, batch=2, length=3, side=32)
    torch.manual_seed(3)
    first = maker.make()
    torch.manual_seed(3)
    assert torch.equal(first.images, maker.make().images)


def test_an_object_alone_on_a_scene_can_be_told_by_its_flat_colour(banks, monkeypatch) -> None:
    """With nothing in front, a flat red object is red where its mask is 1, and nowhere else."""
    monkeypatch.setattr(compose, "PRESENT", (1.0, 0.0, 0.0, 1.0, 0.0, 0.0))
    monkeypatch.setattr(compose_motion, "GOES_AWAY", 0.0)
    fill = compose.Looks.fill

    def red(self, out, *rest) -> None:
        fill(self, out, *rest)
        out[..., 47:57] = torch.tensor([0, 0, 0, 0, 1.0, 1, 1, 0, 0, 0])
        out[:, :, compose.TARGET, 47:51] = torch.tensor([250.0, 0, 0, 0])
        out[..., 57:59] = 0

    monkeypatch.setattr(compose.Looks, "fill", red)
    frames = compose.Looks.frame_numbers

    def plain(self, shutter, time):
        out = frames(self, shutter, time)
        out[..., :11] = torch.tensor([-9.0, -9, 9, 9, 1, 1, 1, 0, 1, 0, 1])
        return out

    monkeypatch.setattr(compose.Looks, "frame_numbers", plain)
    torch.manual_seed(1)
    batch = compose.Maker(*banks, batch=9, length=2, side=48).make()
    pictures = (batch.images.float() * compose.SPREAD + compose.MEAN)[2:]  # the first are blurred
    redness = pictures[:, :, 0] - pictures[:, :, 1]
    masks = batch.masks[2:].float()
    assert (masks > 0.99).sum() > 100
    assert redness[masks > 0.99].mean() > 0.9
    assert redness[masks == 0].abs().mean() < 0.1


def test_the_right_masks_have_the_least_loss() -> None:
    torch.manual_seed(0)
    truth = torch.zeros(2, 3, 32, 32)
    truth[:, :, 8:24, 8:24] = 1

    def answers(mask: torch.Tensor) -> list[Answer]:
        logit = 12 * torch.nn.functional.avg_pool2d(mask, 2) - 6
        coarse = torch.nn.functional.avg_pool2d(mask[:, None], 8)
        matched = torch.cat([coarse, 1 - coarse] * 2, 1)
        quality = torch.tensor([[4.0, 4.0]] * 2)
        return [Answer(logit[:, None], quality, matched)] * 2

    valid = torch.ones(2)
    right, figures = tracking_loss(answers(truth[:, 0]), truth, valid)
    shifted, worse = tracking_loss(answers(truth[:, 0].roll(6, -1)), truth, valid)
    assert right < 0.5 * shifted
    assert figures[-1] > 0.95
    assert worse[-1] < 0.6


def test_the_network_follows_a_clip_and_reads_nothing_where_nothing_matches() -> None:
    torch.manual_seed(0)
    network = Tracker(Widths(8, 8, 16, 16, 8, 16)).eval()
    found = network(torch.randn(2, 4, 3, 64, 64), torch.rand(2, 64, 64))
    assert [a.mask.shape for a in found] == [(2, 1, 32, 32)] * 3
    matched = found[0].matched
    assert torch.all(matched >= 0)
    assert torch.all(matched[:, :2].sum(1) <= 1 + 1e-5)
    with torch.no_grad():
        network.reader.kept.null.fill_(50.0)
    nothing = network(torch.randn(2, 2, 3, 64, 64), torch.rand(2, 64, 64))[0].matched
    assert nothing[:, :2].max() < 1e-6
