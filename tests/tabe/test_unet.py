"""The UNet against the published network's output and its list of weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from napari_amodal.tabe.unet import CoCoCoUNet  # noqa: E402


def golden_weight(key: str, shape: list[int]) -> np.ndarray:
    """A weight as the reference page defines it for the golden network."""
    drawn = 0.05 * np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    return drawn + 1 if len(shape) == 1 and key.endswith("weight") else drawn


def test_equal_to_the_published_network(shared: Path) -> None:
    golden = np.load(shared / "reference" / "unet_golden.npz")
    config = json.loads(str(golden["config"]))
    unet = CoCoCoUNet(
        config["boc"], config["lpb"], config["xdim"], config["heads"], config["mm_heads"]
    ).eval()
    shapes = json.loads((shared / "reference" / "unet_golden_keys.json").read_text())
    weights = {
        key: torch.from_numpy(golden_weight(key, shape)).float() for key, shape in shapes.items()
    }
    unet.load_state_dict(weights, strict=True)
    inputs = {name: torch.from_numpy(golden[name]) for name in golden if name != "config"}
    with torch.no_grad():
        output = unet(
            inputs["sample"],
            inputs["mask"],
            inputs["masked"],
            inputs["timestep"],
            inputs["text"],
        )
    assert (output - inputs["output"]).abs().max() < 1e-4


def test_full_size_weights_have_the_published_names_and_shapes(shared: Path) -> None:
    published = json.loads((shared / "reference" / "cococo_unet_keys.json").read_text())
    with torch.device("meta"):
        unet = CoCoCoUNet()
    assert {key: list(value.shape) for key, value in unet.state_dict().items()} == published
