"""The networks of the video diffusion model, loaded and ready: text encoder, VAE and UNet.

Stable Diffusion 1.5 inpainting gives text encoder, tokenizer and VAE; CoCoCo the UNet (reference
page, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_amodal.errors import InputError
from napari_amodal.tabe.pretrained import quiet
from napari_amodal.tabe.unet import CoCoCoUNet
from napari_amodal.tabe.unet_file import load_unet
from napari_amodal.tabe.vae import load_vae
from napari_amodal.weights import variant

PROMPT = "a video of sks"
NEGATIVE_PROMPT = ""

#: Latents are the VAE's times this (Stable Diffusion 1.5).
LATENT_SCALE = 0.18215
#: Pixels a latent, each way.
LATENT_STRIDE = 8


@dataclass(frozen=True)
class Diffusion:
    """The networks on one device, in one dtype, in evaluation mode.

    Attributes
    ----------
    tokens : Tensor
        Token ids of the prompt and of the negative prompt, int64 ``(2, L)``.
    vae_batch : int
        How many pictures the VAE works on at a time; fewer need less memory.
    """

    vae: Any
    text_encoder: Any
    unet: CoCoCoUNet
    tokens: Tensor
    vae_batch: int = 7

    @property
    def device(self) -> torch.device:
        return self.tokens.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype

    def text(self) -> Tensor:
        """Text embeddings of the prompt and of the negative prompt, ``(2, L, D)``."""
        return self.text_encoder(self.tokens).last_hidden_state.to(self.dtype)

    @torch.no_grad()
    def encode(self, pictures: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Latents ``(T, 4, h, w)`` of pictures ``(T, 3, H, W)`` in -1..1."""
        parts = [self._encoded(part, generator) for part in pictures.split(self.vae_batch)]
        return torch.cat(parts)

    def _encoded(self, pictures: Tensor, generator: torch.Generator | None) -> Tensor:
        pictures = pictures.to(self.dtype).contiguous(memory_format=torch.channels_last)
        found = self.vae.encode(pictures).latent_dist.sample(generator)
        return found * LATENT_SCALE

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Pictures uint8 ``(T, H, W, 3)`` of latents ``(T, 4, h, w)``."""
        pictures = []
        for part in latents.split(self.vae_batch):
            found = self.vae.decode((part / LATENT_SCALE).to(self.dtype)).sample
            shades = ((found.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            pictures.append(shades.permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(pictures)


def as_pictures(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Frames uint8 ``(T, H, W, 3)`` as pictures ``(T, 3, H, W)`` in -1..1 on a device."""
    pictures = torch.from_numpy(pixels).to(device, non_blocking=True).permute(0, 3, 1, 2)
    return pictures.float() / 127.5 - 1


def load_diffusion(
    stable_diffusion: Path, cococo: Path, device: torch.device, dtype: torch.dtype
) -> Diffusion:
    """Load the networks.

    Parameters
    ----------
    stable_diffusion : pathlib.Path
        Folder of diffusers' layout with ``vae/``, ``text_encoder/`` and ``tokenizer/``.
    cococo : pathlib.Path
        The UNet's weights as one safetensors file, with the UNet's shape in its metadata.

    Raises
    ------
    InputError
        A part is missing or is not what it is said to be.
    """
    from transformers import CLIPTextModel, CLIPTokenizer

    try:
        vae = load_vae(stable_diffusion, device, dtype)
        with quiet():
            encoder = CLIPTextModel.from_pretrained(
                stable_diffusion / "text_encoder",
                variant=variant(stable_diffusion / "text_encoder"),
                dtype=dtype,
                local_files_only=True,
            )
        tokenizer = CLIPTokenizer.from_pretrained(
            stable_diffusion / "tokenizer", local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{stable_diffusion} is not a folder of Stable Diffusion 1.5 inpainting as diffusers "
            f"lays it out: {error}"
        ) from error
    unet = load_unet(cococo, device, dtype)
    tokens = tokenizer(
        [PROMPT, NEGATIVE_PROMPT], padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return Diffusion(
        vae,
        encoder.to(device).eval().requires_grad_(False),
        unet,
        tokens.to(device),
    )
