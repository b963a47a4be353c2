"""The UNet's weights in one safetensors file; its shape is read off the weights themselves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_amodal.errors import InputError
from napari_amodal.tabe.attention import lay_out
from napari_amodal.tabe.unet import CoCoCoUNet

_SHAPE = "unet"


@dataclass(frozen=True)
class UNetShape:
    """The sizes of a `CoCoCoUNet`; the defaults are the published network's."""

    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    cross_attention_dim: int = 768
    attention_heads: int = 8
    motion_heads: int = 8

    def build(self) -> CoCoCoUNet:
        """A network of this shape, on the device that is set, with whatever weights."""
        return CoCoCoUNet(**asdict(self))


def save_unet(unet: CoCoCoUNet, shape: UNetShape, file: Path) -> None:
    """Write a network's weights with its shape."""
    weights = {name: weight.contiguous() for name, weight in unet.state_dict().items()}
    save_file(weights, file, metadata={_SHAPE: json.dumps(asdict(shape))})


def load_unet(file: Path, device: torch.device, dtype: torch.dtype) -> CoCoCoUNet:
    """Read a network from a file, straight to its device and dtype.

    Raises
    ------
    InputError
        The file is no safetensors file, or holds other weights than the network has.
    """
    try:
        with safe_open(file, "pt") as weights:
            described = json.loads((weights.metadata() or {}).get(_SHAPE, "{}"))
            shape = UNetShape(**{name: _tupled(size) for name, size in described.items()})
            with torch.device("meta"):
                unet = shape.build()
            _check_names(file, set(weights.keys()), set(unet.state_dict()))
            loaded = {
                name: weights.get_tensor(name).to(device, dtype) for name in unet.state_dict()
            }
            unet.load_state_dict(loaded, assign=True)
    except (SafetensorError, OSError, TypeError, RuntimeError) as error:
        raise InputError(f"{file} does not hold the weights of CoCoCo's UNet: {error}") from error
    unet = unet.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    lay_out(unet)
    return unet


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_names(file: Path, found: set[str], expected: set[str]) -> None:
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if missing or unknown:
        raise InputError(
            f"{file} does not hold the weights of CoCoCo's UNet: {len(missing)} are missing"
            + (f" (first {missing[0]})" if missing else "")
            + f", {len(unknown)} are unknown"
            + (f" (first {unknown[0]})" if unknown else "")
        )
