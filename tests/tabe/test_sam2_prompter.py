"""Masks from clicks by SAM 2, with a tiny network of its kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_sam2 import write_tiny_sam2  # noqa: E402

from napari_amodal.stages import Clicks  # noqa: E402


def test_a_frame_is_encoded_once_and_each_click_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_amodal.tabe import sam2_prompter
    from napari_amodal.tabe.sam2_network import Sam2Network

    network = Sam2Network(write_tiny_sam2(tmp_path / "sam2"), torch.device("cpu"))
    encoded: list[int] = []
    network._model.vision_encoder.register_forward_hook(lambda *_: encoded.append(1))
    prompter = sam2_prompter.Sam2Prompter()
    monkeypatch.setattr(prompter, "_loaded", lambda: network)
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    first = prompter.mask(frame, Clicks(((20.0, 30.0),)))
    again = prompter.mask(frame, Clicks(((20.0, 30.0),)))
    assert first.shape == (48, 64) and first.dtype == np.bool_
    assert np.array_equal(first, again)
    prompter.mask(frame, Clicks(((20.0, 30.0),), ((5.0, 5.0),)))
    assert len(encoded) == 1
    prompter.mask(frame.copy(), Clicks(((20.0, 30.0),)))
    assert len(encoded) == 2


def test_without_weights_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_amodal.tabe import sam2_prompter

    monkeypatch.setattr(sam2_prompter, "_held", list)
    assert "sam2.1-tiny" in sam2_prompter.Sam2Prompter.missing()[0]
