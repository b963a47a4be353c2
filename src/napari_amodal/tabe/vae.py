"""Stable Diffusion's VAE, its group norms fused with the SiLU behind them on NVIDIA cards."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from napari_amodal.tabe.layers import normed_maps, residual_block
from napari_amodal.weights import variant


class _Residual(nn.Module):
    """A residual block of the VAE: no time, dropout or scale."""

    def __init__(self, block: ResnetBlock2D) -> None:
        super().__init__()
        self.block = block

    def forward(self, maps: Tensor, temb: None = None) -> Tensor:
        return residual_block(self.block, maps)


class _NormAndSiLU(nn.Module):
    """A group norm with SiLU behind it, under the name of the norm alone."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        return normed_maps(self.norm, maps)


def load_vae(folder: Path, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Read the ``vae/`` of a folder of diffusers' layout, ready for channels-last pictures.

    Raises
    ------
    OSError, ValueError
        There is none, or it is something else.
    """
    vae = AutoencoderKL.from_pretrained(
        folder / "vae",
        variant=variant(folder / "vae"),
        torch_dtype=dtype,
        local_files_only=True,
    )
    fuse_norms(vae)
    return vae.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def fuse_norms(vae: AutoencoderKL) -> None:
    """Let the residual blocks and the norms before the last convolutions take fused steps."""
    for level in list(vae.modules()):
        if hasattr(level, "resnets"):
            level.resnets = nn.ModuleList(_Residual(block) for block in level.resnets)
    for half in (vae.encoder, vae.decoder):
        half.conv_norm_out = _NormAndSiLU(half.conv_norm_out)
        half.conv_act = nn.Identity()
