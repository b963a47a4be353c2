"""CoCoCo's video UNet: Stable Diffusion 1.5 inpainting frame by frame, with motion modules between.

Source: CoCoCo (arXiv 2403.12035), in the form that TABE uses (reference page, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from napari_amodal.tabe.fused import fused
from napari_amodal.tabe.layers import NORM_GROUPS, FrameResnet, FrameTransformer, normed_maps
from napari_amodal.tabe.motion import MotionModule

#: Noisy latents 4, mask 1, masked image's latents 4, in this order.
IN_CHANNELS = 9
LATENT_CHANNELS = 4


@dataclass(frozen=True)
class _Widths:
    """What all levels of one network share."""

    time: int
    text: int
    attention_heads: int
    motion_heads: int

    def resnet(self, inputs: int, outputs: int) -> FrameResnet:
        return FrameResnet(
            in_channels=inputs,
            out_channels=outputs,
            temb_channels=self.time,
            groups=NORM_GROUPS,
            eps=1e-5,
        )

    def attention(self, channels: int) -> FrameTransformer:
        return FrameTransformer(channels, self.text, self.attention_heads)

    def motion(self, channels: int) -> MotionModule:
        return MotionModule(channels, self.text, self.motion_heads)


@dataclass(frozen=True)
class _Condition:
    """What steers every layer: time after SiLU ``(B * T, time)`` and text ``(B, L, D)``.

    With `checkpointing` each layer forgets its activations and computes them again backwards.
    """

    time: Tensor
    text: Tensor
    checkpointing: bool


class _Level(nn.Module):
    """Layers of one resolution: each a resnet, an attention (where there is one), a motion module.

    Parameters
    ----------
    inputs : sequence of int
        Channels that come into each layer.
    channels : int
        Channels that every layer gives.
    """

    def __init__(
        self, inputs: Sequence[int], channels: int, widths: _Widths, *, attention: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(widths.resnet(width, channels) for width in inputs)
        self.attentions = nn.ModuleList(widths.attention(channels) for _ in inputs if attention)
        self.motion_modules = nn.ModuleList(widths.motion(channels) for _ in inputs)

    def layer(self, index: int, x: Tensor, given: _Condition) -> Tensor:
        if given.checkpointing:
            found: Tensor = checkpoint(
                self._layer, index, x, given, use_reentrant=False, preserve_rng_state=not fused(x)
            )
            return found
        return self._layer(index, x, given)

    def _layer(self, index: int, x: Tensor, given: _Condition) -> Tensor:
        x = self.resnets[index](x, given.time)
        if self.attentions:
            x = self.attentions[index](x, given.text)
        return self.motion_modules[index](x, given.text)


class _DownLevel(_Level):
    """A level on the way down; it keeps what each layer gave for the way up."""

    def __init__(
        self,
        inputs: Sequence[int],
        channels: int,
        widths: _Widths,
        *,
        attention: bool,
        last: bool,
    ) -> None:
        super().__init__(inputs, channels, widths, attention=attention)
        self.downsamplers = nn.ModuleList(
            [] if last else [Downsample2D(channels, use_conv=True, name="op")]
        )

    def forward(self, x: Tensor, given: _Condition) -> tuple[Tensor, list[Tensor]]:
        kept = []
        for index in range(len(self.resnets)):
            x = self.layer(index, x, given)
            kept.append(x)
        for downsampler in self.downsamplers:
            x = downsampler(x)
            kept.append(x)
        return x, kept


class _MidLevel(nn.Module):
    """Resnet, attention, motion module, resnet."""

    def __init__(self, channels: int, widths: _Widths) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([widths.attention(channels)])
        self.resnets = nn.ModuleList(widths.resnet(channels, channels) for _ in range(2))
        self.motion_modules = nn.ModuleList([widths.motion(channels)])

    def forward(self, x: Tensor, given: _Condition) -> Tensor:
        x = self.resnets[0](x, given.time)
        x = self.attentions[0](x, given.text)
        x = self.motion_modules[0](x, given.text)
        return self.resnets[1](x, given.time)


class _UpLevel(_Level):
    """A level on the way up; each layer takes what its twin on the way down kept."""

    def __init__(
        self,
        inputs: Sequence[int],
        channels: int,
        widths: _Widths,
        *,
        attention: bool,
        last: bool,
    ) -> None:
        super().__init__(inputs, channels, widths, attention=attention)
        self.upsamplers = nn.ModuleList([] if last else [Upsample2D(channels, use_conv=True)])

    def forward(self, x: Tensor, kept: list[Tensor], given: _Condition) -> Tensor:
        for index in range(len(self.resnets)):
            x = self.layer(index, torch.cat([x, kept.pop()], dim=1), given)
        for upsampler in self.upsamplers:
            x = upsampler(x, output_size=kept[-1].shape[-2:])
        return x


class CoCoCoUNet(nn.Module):
    """The video inpainting UNet; its state dict has the published keys.

    Parameters
    ----------
    block_out_channels : sequence of int
        Channels of each level; every level but the last has spatial attention.
    layers_per_block : int
    cross_attention_dim : int
        Width of the text tokens.
    attention_heads, motion_heads : int
        Heads of the spatial and of the motion attentions, at every level.
    """

    def __init__(
        self,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        cross_attention_dim: int = 768,
        attention_heads: int = 8,
        motion_heads: int = 8,
    ) -> None:
        super().__init__()
        #: Whether training saves memory by computing activations twice.
        self.checkpointing = False
        levels = tuple(block_out_channels)
        first = levels[0]
        widths = _Widths(4 * first, cross_attention_dim, attention_heads, motion_heads)
        self.conv_in = nn.Conv2d(IN_CHANNELS, first, 3, padding=1)
        self.time_proj = Timesteps(first, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(first, widths.time)
        self.down_blocks = _down_levels(levels, layers_per_block, widths)
        self.mid_block = _MidLevel(levels[-1], widths)
        self.up_blocks = _up_levels(levels, layers_per_block, widths)
        self.conv_norm_out = nn.GroupNorm(NORM_GROUPS, first, eps=1e-5)
        self.conv_out = nn.Conv2d(first, LATENT_CHANNELS, 3, padding=1)

    def forward(
        self, noisy: Tensor, mask: Tensor, masked_latents: Tensor, timestep: Tensor, text: Tensor
    ) -> Tensor:
        """Predict the noise.

        Parameters
        ----------
        noisy, masked_latents : Tensor
            ``(B, 4, T, h, w)``.
        mask : Tensor
            ``(B, 1, T, h, w)``: 1 where the video is to be generated.
        timestep : Tensor
            One for all, or ``(B,)``.
        text : Tensor
            ``(B, L, D)``.

        Returns
        -------
        Tensor
            Epsilon, ``(B, 4, T, h, w)``.
        """
        batch, _, frames, _, _ = noisy.shape
        x = torch.cat([noisy, mask, masked_latents], dim=1).transpose(1, 2).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        given = self._condition(timestep.to(noisy.device).expand(batch), text, frames, noisy.dtype)
        x = self.conv_in(x)
        kept = [x]
        for down in self.down_blocks:
            x, outputs = down(x, given)
            kept += outputs
        x = self.mid_block(x, given)
        for up in self.up_blocks:
            x = up(x, kept, given)
        x = self.conv_out(normed_maps(self.conv_norm_out, x))
        return x.unflatten(0, (batch, frames)).transpose(1, 2)

    def _condition(
        self, timestep: Tensor, text: Tensor, frames: int, dtype: torch.dtype
    ) -> _Condition:
        time = F.silu(self.time_embedding(self.time_proj(timestep).to(dtype)))
        saving = self.checkpointing and torch.is_grad_enabled()
        return _Condition(time.repeat_interleave(frames, 0), text, saving)


def _down_levels(levels: tuple[int, ...], layers: int, widths: _Widths) -> nn.ModuleList:
    made = nn.ModuleList()
    for index, (before, channels) in enumerate(pairwise((levels[0], *levels))):
        last = index == len(levels) - 1
        inputs = (before,) + (channels,) * (layers - 1)
        made.append(_DownLevel(inputs, channels, widths, attention=not last, last=last))
    return made


def _up_levels(levels: tuple[int, ...], layers: int, widths: _Widths) -> nn.ModuleList:
    """Levels on the way up have one layer more; each also takes what its twin kept."""
    made = nn.ModuleList()
    upwards = levels[::-1]
    for index, channels in enumerate(upwards):
        below = upwards[max(index - 1, 0)]
        above = upwards[min(index + 1, len(levels) - 1)]
        kept = (channels,) * layers + (above,)
        carried = (below,) + (channels,) * layers
        inputs = tuple(a + b for a, b in zip(carried, kept, strict=True))
        last = index == len(levels) - 1
        made.append(_UpLevel(inputs, channels, widths, attention=index > 0, last=last))
    return made
