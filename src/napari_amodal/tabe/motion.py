"""The motion module of CoCoCo: attention over time, over all frames at once, and to the text.

Source: CoCoCo (arXiv 2403.12035), in the form that TABE uses (reference page, section 6).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from napari_amodal.tabe.attention import attended, attended_over_time
from napari_amodal.tabe.layers import (
    NORM_GROUPS,
    GatedGelu,
    add_norm,
    feed_forward,
    maps_of,
    normed_tokens,
    tokens_of,
)
from napari_amodal.tabe.nearest import nearest, taken

#: Height that a map is reduced to before all frames attend to each other; its width follows.
LIGHT_HEIGHT = 12


@lru_cache(maxsize=64)
def sinusoids(length: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sinusoidal position encodings ``(length, channels)``: even channels sine, odd cosine."""
    positions = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    steps = torch.arange(0, channels, 2, device=device, dtype=torch.float32)
    angles = positions * torch.exp(steps * (-math.log(10_000.0) / channels))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(dtype)


class Attention(nn.Module):
    """The weights of multi-head attention without bias on queries, keys and values.

    Parameters
    ----------
    channels : int
        Width of the queries and of the result.
    context_channels : int
        Width of what is attended to.
    heads : int
    """

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])


class MotionBlock(nn.Module):
    """Two temporal self-attentions, light attention, text cross-attention and a feed-forward."""

    def __init__(self, channels: int, text_channels: int, heads: int) -> None:
        super().__init__()
        contexts = (channels, channels, channels, text_channels)
        self.attention_blocks = nn.ModuleList(
            Attention(channels, context, heads) for context in contexts
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in contexts)
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.ff.net[0] = GatedGelu(channels, 4 * channels)
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, text: Tensor, height: int) -> Tensor:
        """``x`` ``(B, T, height * W, channels)``, ``text`` ``(B, L, text_channels)``."""
        first, second, over_all, to_text = self.attention_blocks
        frame = sinusoids(x.shape[1], x.shape[3], x.device, x.dtype)
        x, normed = add_norm(self.norms[0], x, None, frame)
        x, normed = add_norm(self.norms[1], x, attended_over_time(first, normed), frame)
        x = x + attended_over_time(second, normed)
        found, where = self._over_all(over_all, x, height)
        x, normed = add_norm(self.norms[3], x, found, frame, where)
        found = attended(to_text, normed.flatten(1, 2), text).view_as(x)
        x, normed = add_norm(self.ff_norm, x, found)
        return x + feed_forward(self.ff.net, normed)

    def _over_all(
        self, attention: Attention, x: Tensor, height: int
    ) -> tuple[Tensor, Tensor | None]:
        """All pixels of all frames attend to each other, on a reduced map where it is tall.

        Returns what was found, and which of its pixels belongs to each of `x`.
        """
        width = x.shape[2] // height
        where = None
        if height > LIGHT_HEIGHT:
            small = (LIGHT_HEIGHT, int(LIGHT_HEIGHT / height * width))
            x = taken(x, nearest((height, width), small, x.device))
            where = nearest(small, (height, width), x.device)
        flat = x.flatten(1, 2)
        position = sinusoids(flat.shape[1], flat.shape[2], flat.device, flat.dtype)
        _, normed = add_norm(self.norms[2], flat[:, :, None], None, position)
        return attended(attention, normed[:, :, 0]).view_as(x), where


class _TemporalTransformer(nn.Module):
    """Norm, linear in, one block, linear out, residual."""

    def __init__(self, channels: int, text_channels: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([MotionBlock(channels, text_channels, heads)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """``x`` ``(B * T, C, h, w)``, ``text`` ``(B, L, D)``."""
        height = x.shape[2]
        tokens = self.proj_in(normed_tokens(self.norm, tokens_of(x)))
        tokens = self.transformer_blocks[0](tokens.unflatten(0, (len(text), -1)), text, height)
        return x + maps_of(self.proj_out(tokens).flatten(0, 1), height)


class MotionModule(nn.Module):
    """A motion module as the published checkpoint names it."""

    def __init__(self, channels: int, text_channels: int, heads: int) -> None:
        super().__init__()
        self.temporal_transformer = _TemporalTransformer(channels, text_channels, heads)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """``x`` ``(B * T, C, h, w)`` and ``text`` ``(B, L, D)`` to ``(B * T, C, h, w)``."""
        return self.temporal_transformer(x, text)
