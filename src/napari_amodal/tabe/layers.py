"""diffusers' layers of one frame, run on channels-last maps without copies between layouts."""

from __future__ import annotations

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

#: Groups of every group norm in the network.
NORM_GROUPS = 32


def tokens_of(maps: Tensor) -> Tensor:
    """Maps ``(N, C, h, w)`` as tokens ``(N, h * w, C)``; a view of channels-last maps."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def maps_of(tokens: Tensor, height: int) -> Tensor:
    """Tokens ``(N, h * w, C)`` as channels-last maps ``(N, C, h, w)``; a view."""
    return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


def normed_tokens(norm: nn.GroupNorm, tokens: Tensor, *, silu: bool = False) -> Tensor:
    """Group norm of tokens ``(N, P, C)``, with SiLU behind it or not."""
    if tokens.is_cuda:
        from napari_amodal.tabe.kernels import group_norm

        return group_norm(
            tokens.contiguous(), norm.weight, norm.bias, norm.num_groups, norm.eps, silu=silu
        )
    found = norm(tokens.transpose(1, 2)).transpose(1, 2)
    return F.silu(found) if silu else found


def normed_maps(norm: nn.GroupNorm, maps: Tensor) -> Tensor:
    """Group norm and SiLU of maps ``(N, C, h, w)``."""
    return maps_of(normed_tokens(norm, tokens_of(maps), silu=True), maps.shape[2])


class GatedGelu(GEGLU):
    """diffusers' gated GELU, its product fused on NVIDIA cards."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        both = self.proj(hidden_states)
        if both.is_cuda:
            from napari_amodal.tabe.kernels import gated_gelu

            return gated_gelu(both)
        value, gate = both.chunk(2, dim=-1)
        return value * F.gelu(gate)


def feed_forward(net: nn.ModuleList, x: Tensor) -> Tensor:
    """A feed-forward of diffusers: gated GELU, dropout, linear; there is no dropout here."""
    return net[2](net[0](x))


class FrameResnet(ResnetBlock2D):
    """diffusers' residual block, fed with the time embedding that SiLU has already been put on."""

    def forward(self, input_tensor: Tensor, temb: Tensor) -> Tensor:
        """``input_tensor`` ``(N, C, h, w)``, ``temb`` ``(N, time)``."""
        x = self.conv1(normed_maps(self.norm1, input_tensor))
        x = x + self.time_emb_proj(temb)[:, :, None, None]
        x = self.conv2(normed_maps(self.norm2, x))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor)
        return input_tensor + x


class FrameTransformer(Transformer2DModel):
    """diffusers' spatial transformer of one block: a frame attends to itself, then to the text."""

    def __init__(self, channels: int, text_channels: int, heads: int) -> None:
        super().__init__(
            heads,
            channels // heads,
            in_channels=channels,
            cross_attention_dim=text_channels,
            norm_num_groups=NORM_GROUPS,
        )
        gate = GatedGelu(channels, 4 * channels)
        self.transformer_blocks[0].ff.net[0] = gate

    def forward(self, maps: Tensor, text: Tensor) -> Tensor:
        """``maps`` ``(B * T, C, h, w)``, ``text`` ``(B, L, D)``; a batch's frames share a text."""
        block = self.transformer_blocks[0]
        x = _pointwise(self.proj_in, normed_tokens(self.norm, tokens_of(maps)))
        x = x + block.attn1(block.norm1(x))
        queries = block.norm2(x).unflatten(0, (text.shape[0], -1)).flatten(1, 2)
        x = x + block.attn2(queries, encoder_hidden_states=text).view_as(x)
        x = x + feed_forward(block.ff.net, block.norm3(x))
        return maps + maps_of(_pointwise(self.proj_out, x), maps.shape[2])


def _pointwise(layer: nn.Conv2d, tokens: Tensor) -> Tensor:
    """A 1 x 1 convolution of tokens: the matrix product that it is."""
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)


def channels_last(network: nn.Module) -> None:
    """Lay a network's convolution weights out for channels-last maps."""
    network.to(memory_format=torch.channels_last)
