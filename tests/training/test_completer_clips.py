"""Clips for the completer: truth, windows and channels go together. Needs PyTorch; no card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

import completer_clips  # noqa: E402
from completer_clips import Batch, compose, mirrored  # noqa: E402
from completer_footage import HEIGHT, WIDTH, Footage  # noqa: E402
from completer_net import CompleterNet  # noqa: E402
from completer_train import losses  # noqa: E402

from napari_amodal.draft.window_path import Window  # noqa: E402
from napari_amodal.draft.window_views import Look, chunk_channels  # noqa: E402

CLIPS, FRAMES = 3, 5


@pytest.fixture(scope="module")
def footage() -> Footage:
    """Two videos of coloured blocks, and discs as silhouettes."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (70, 3, 9, 16), dtype=np.uint8))
    frames = torch.nn.functional.interpolate(coarse.float(), (HEIGHT, WIDTH), mode="bilinear")
    line = np.arange(96) - 47.5
    radius = np.hypot(line, line[:, None])
    discs = [(30 + index - radius).clip(-15, 15) * 8 for index in range(8)]
    return Footage(
        frames.byte(),
        torch.tensor([[0, 35], [35, 70]]),
        torch.eye(3, dtype=torch.float64).repeat(70, 1, 1),
        torch.from_numpy(np.rint(discs).astype(np.int8)),
        torch.tensor([[0, 4], [4, 8]]),
    )


@pytest.fixture(scope="module")
def made(footage: Footage) -> tuple[Batch, tuple[Any, ...]]:
    """A batch, and what its evidence was made from."""
    torch.manual_seed(3)
    taken: list[tuple[Any, ...]] = []
    with pytest.MonkeyPatch.context() as patch:
        evidence_of = completer_clips.evidence_of
        patch.setattr(
            completer_clips,
            "evidence_of",
            lambda *given: (taken.append(given), evidence_of(*given))[1],
        )
        batch = compose(footage, CLIPS, FRAMES)
    return batch, taken[0]


def test_the_engine_makes_the_channels_that_the_network_is_trained_on(
    made: tuple[Batch, tuple[Any, ...]],
) -> None:
    batch, given = made
    picture, masks, window, camera, confidence, clear = (values.numpy() for values in given)
    for clip in range(CLIPS):
        looks = [
            Look(
                np.dstack([picture[clip, t].transpose(1, 2, 0) - 0.5, masks[clip, t]]),
                Window(*(float(window[clip, t, i]) for i in (1, 0, 3, 2))),
                camera[clip, t].astype(float),
                int(batch.times[clip, t]),
                float(confidence[clip, t]),
                bool(clear[clip, t]),
            )
            for t in range(FRAMES)
        ]
        found = chunk_channels(looks)
        fine, coarse = batch.fine[clip].float().numpy(), batch.coarse[clip].float().numpy()
        assert np.abs(found["fine"] - fine).mean(axis=(0, 2, 3)).max() < 0.003
        # the engine compares colours in 8 bits
        assert np.abs(found["coarse"] - coarse).mean(axis=(0, 2, 3)).max() < 0.02


def test_what_is_hidden_lies_behind_what_is_in_front(
    made: tuple[Batch, tuple[Any, ...]], footage: Footage
) -> None:
    torch.manual_seed(8)
    batch = compose(footage, 8, 4)
    seen = batch.amodal * (1 - batch.hider) * (batch.inside > 0.99)
    inside = (batch.amodal * (batch.inside > 0.99)).sum((2, 3))
    share = 1 - seen.sum((2, 3)) / inside.clamp(min=1)
    # windows that hold most of the object tell the same share as the frames themselves
    known = (batch.amount >= 0) & (inside > 500)
    assert known.any()
    assert (share - batch.amount)[known].abs().median() < 0.02


def test_a_mirrored_batch_is_the_same_clips(made: tuple[Batch, tuple[Any, ...]]) -> None:
    batch, _ = made
    for _ in range(8):
        turned = mirrored(batch)
        assert torch.allclose(turned.amodal.sum(), batch.amodal.sum())
        assert torch.equal(turned.times[:, 0], torch.zeros(CLIPS))
        assert (turned.times.diff(dim=1) > 0).all()
        # the frame's own mask and that of the frame before, whichever way time goes
        assert torch.equal(turned.fine[:, 1:, 5], turned.fine[:, :-1, 3])
        assert torch.equal(turned.fine[:, :-1, 6], turned.fine[:, 1:, 3])


def test_the_truth_costs_less_than_the_visible_mask_and_that_less_than_nothing(
    made: tuple[Batch, tuple[Any, ...]],
) -> None:
    batch, _ = made
    visible = (batch.fine[:, :, 3] > 0.5).float()

    def cost(mask: Any) -> float:
        maps = 12 * (torch.stack([mask] * 3 + [batch.hider], 2) - 0.5)
        told = torch.zeros((*batch.times.shape, 2))
        return float(losses(maps, told, batch)[0])

    assert cost(batch.amodal) < cost(visible) < cost(1 - batch.amodal)


def test_the_network_takes_chunks_of_any_length(made: tuple[Batch, tuple[Any, ...]]) -> None:
    batch, _ = made
    net = CompleterNet((8, 16, 16, 16)).eval()
    for count in (1, 2, FRAMES):
        cut = [v[:1, :count].float() for v in (batch.fine, batch.coarse, batch.times)]
        maps, told = net(*cut)
        assert maps.shape == (1, count, 4, 128, 128)
        assert told.shape == (1, count, 2)
