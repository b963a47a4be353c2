"""The motion module of CoCoCo: attention over time, over all frames at once, and to the text.

Source: CoCoCo (arXiv 2403.12035), in the form that TABE uses (reference page, section 6).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn
from torch.nn import functional as F

from napari_amodal.tabe.layers import (
    NORM_GROUPS,
    GatedGelu,
    feed_forward,
    maps_of,
    normed_tokens,
    tokens_of,
)

#: Longest clip and longest flattened sequence that the position encodings were trained with.
MAX_FRAMES = 64
MAX_POSITIONS = 10_000

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
    """Multi-head attention without bias on queries, keys and values.

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

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """``x`` ``(N, L, channels)`` attends to ``context`` ``(N, M, context_channels)``."""
        query = self.to_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key = self.to_k(context).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = self.to_v(context).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        found = F.scaled_dot_product_attention(query, key, value)
        return self.to_out[0](found.transpose(1, 2).flatten(2))


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
        over_time, over_time_too, over_all, to_text = range(4)
        x = x + self._over_time(over_time, x)
        x = x + self._over_time(over_time_too, x)
        x = x + self._over_all(over_all, x, height)
        x = x + self._to_text(to_text, x, text)
        return x + feed_forward(self.ff.net, self.ff_norm(x))

    def _over_time(self, index: int, x: Tensor) -> Tensor:
        """Each pixel attends over the frames; the frames' layout is kept."""
        attention = self.attention_blocks[index]
        normed = self._with_frame(self.norms[index](x))
        query, key, value = (
            project(normed).unflatten(-1, (attention.heads, -1)).permute(0, 2, 3, 1, 4)
            for project in (attention.to_q, attention.to_k, attention.to_v)
        )
        # One call a video: fused attention takes any strides, but four dimensions.
        found = [
            F.scaled_dot_product_attention(q, k, v).permute(2, 0, 1, 3).flatten(2)
            for q, k, v in zip(query, key, value, strict=True)
        ]
        return attention.to_out[0](torch.stack(found))

    def _over_all(self, index: int, x: Tensor, height: int) -> Tensor:
        """All pixels of all frames attend to each other, on a reduced map where it is tall."""
        _, frames, pixels, channels = x.shape
        width = pixels // height
        small = (min(height, LIGHT_HEIGHT), int(min(1, LIGHT_HEIGHT / height) * width))
        maps = _resized(self.norms[index](x).unflatten(2, (height, width)), small)
        flat = maps.flatten(1, 3)
        flat = flat + sinusoids(flat.shape[1], channels, flat.device, flat.dtype)
        found = self.attention_blocks[index](flat, flat)
        return _resized(found.unflatten(1, (frames, *small)), (height, width)).flatten(2, 3)

    def _to_text(self, index: int, x: Tensor, text: Tensor) -> Tensor:
        normed = self._with_frame(self.norms[index](x))
        found = self.attention_blocks[index](normed.flatten(1, 2), text)
        return found.unflatten(1, x.shape[1:3])

    @staticmethod
    def _with_frame(normed: Tensor) -> Tensor:
        """Add the encoding of the frame index to ``(B, T, P, C)``."""
        frames, channels = normed.shape[1], normed.shape[3]
        return normed + sinusoids(frames, channels, normed.device, normed.dtype)[:, None]


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of ``(B, T, h, w, C)``."""
    if tuple(maps.shape[2:4]) == size:
        return maps
    batch = maps.shape[0]
    found = F.interpolate(maps.flatten(0, 1).permute(0, 3, 1, 2), size=size, mode="nearest")
    return found.permute(0, 2, 3, 1).unflatten(0, (batch, -1))


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
