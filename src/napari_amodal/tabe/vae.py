"""Stable Diffusion's VAE, its group norms fused with the SiLU behind them on NVIDIA cards."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from napari_amodal.tabe.layers import normed_maps
from napari_amodal.weights import variant


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
    """Let every norm of the residual blocks and before the last convolutions do its SiLU itself."""
    for block in vae.modules():
        if isinstance(block, ResnetBlock2D):
            block.norm1, block.norm2 = _NormAndSiLU(block.norm1), _NormAndSiLU(block.norm2)
            block.nonlinearity = nn.Identity()
    for half in (vae.encoder, vae.decoder):
        half.conv_norm_out = _NormAndSiLU(half.conv_norm_out)
        half.conv_act = nn.Identity()
