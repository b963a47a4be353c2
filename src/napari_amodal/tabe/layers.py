"""diffusers' layers of one frame, run on channels-last maps without copies between layouts."""

from __future__ import annotations

from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from napari_amodal.tabe.attention import attended
from napari_amodal.tabe.fused import fused

#: Groups of every group norm in the network.
NORM_GROUPS = 32


def tokens_of(maps: Tensor) -> Tensor:
    """Maps ``(N, C, h, w)`` as tokens ``(N, h * w, C)``; a view of channels-last maps."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def maps_of(tokens: Tensor, height: int) -> Tensor:
    """Tokens ``(N, h * w, C)`` as channels-last maps ``(N, C, h, w)``; a view."""
    return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


def normed_tokens(
    norm: nn.GroupNorm, tokens: Tensor, *, silu: bool = False, added: Tensor | None = None
) -> Tensor:
    """Group norm of tokens ``(N, P, C)``, with SiLU behind it or not.

    `added` ``(N, C)`` is added to the tokens before.
    """
    if fused(tokens):
        from napari_amodal.tabe.kernels.group_norm import group_norm

        given = (tokens.contiguous(), norm.weight, norm.bias, norm.num_groups, norm.eps)
        return group_norm(*given, silu=silu, added=None if added is None else added.contiguous())
    if added is not None:
        tokens = tokens + added[:, None]
    found = norm(tokens.transpose(1, 2)).transpose(1, 2)
    return F.silu(found) if silu else found


def normed_maps(norm: nn.GroupNorm, maps: Tensor, added: Tensor | None = None) -> Tensor:
    """Group norm and SiLU of maps ``(N, C, h, w)``; `added` ``(N, C)`` comes before."""
    return maps_of(normed_tokens(norm, tokens_of(maps), silu=True, added=added), maps.shape[2])


def add_norm(
    norm: nn.LayerNorm,
    x: Tensor,
    more: Tensor | None,
    offset: Tensor | None = None,
    where: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A residual sum of tokens ``(B, T, P, C)``, and its layer norm plus an offset a frame.

    Parameters
    ----------
    more : Tensor or None
        ``(B, T, P, C)``, or with `where` ``(B, T, p, C)``.
    offset : Tensor, optional
        ``(T, C)``.
    where : Tensor, optional
        int32 ``(P,)``: which row of `more` belongs to each row of `x`.
    """
    if fused(x):
        from napari_amodal.tabe.kernels import layer_norm

        given = (x.contiguous(), None if more is None else more.contiguous())
        return layer_norm.add_norm(*given, norm.weight, norm.bias, norm.eps, offset, where)
    if more is not None:
        x = x + (more if where is None else more.index_select(2, where))
    normed = norm(x)
    return x, normed if offset is None else normed + offset[:, None]


class GatedGelu(GEGLU):
    """diffusers' gated GELU, its product fused on NVIDIA cards."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        both = self.proj(hidden_states)
        if fused(both):
            from napari_amodal.tabe.kernels.pointwise import gated_gelu

            return gated_gelu(both)
        value, gate = both.chunk(2, dim=-1)
        return value * F.gelu(gate)


def feed_forward(net: nn.ModuleList, x: Tensor) -> Tensor:
    """A feed-forward of diffusers: gated GELU, dropout, linear; there is no dropout here."""
    return net[2](net[0](x))


def residual_block(block: ResnetBlock2D, maps: Tensor, time: Tensor | None = None) -> Tensor:
    """diffusers' residual block, its convolutions' biases added where a pass is made anyway.

    Parameters
    ----------
    maps : Tensor
        ``(N, C, h, w)``.
    time : Tensor, optional
        ``(N, channels)``: what the time embedding adds between the convolutions.
    """
    added = block.conv1.bias if time is None else block.conv1.bias + time
    x = _convolved(block.conv1, normed_maps(block.norm1, maps))
    x = normed_maps(block.norm2, x, added.expand(len(maps), -1))
    x = _convolved(block.conv2, x)
    if block.conv_shortcut is None:
        return _sum_with_bias(x, block.conv2.bias, maps)
    shortcut = _convolved(block.conv_shortcut, maps)
    return _sum_with_bias(x, block.conv2.bias, shortcut, block.conv_shortcut.bias)


def _convolved(layer: nn.Conv2d, maps: Tensor) -> Tensor:
    """A convolution without its bias."""
    return F.conv2d(maps, layer.weight, None, layer.stride, layer.padding)


def _sum_with_bias(
    x: Tensor, bias: Tensor, more: Tensor, more_bias: Tensor | None = None
) -> Tensor:
    """Two maps and the biases that belong to them."""
    if fused(x):
        from napari_amodal.tabe.kernels.pointwise import sum_with_bias

        tokens = (tokens_of(maps).contiguous() for maps in (x, more))
        total = sum_with_bias(next(tokens), bias, next(tokens), more_bias)
        return maps_of(total, x.shape[2])
    both = bias if more_bias is None else bias + more_bias
    return x + both[:, None, None] + more


class FrameResnet(ResnetBlock2D):
    """diffusers' residual block, fed with the time embedding that SiLU has already been put on."""

    def forward(self, input_tensor: Tensor, temb: Tensor) -> Tensor:
        """``input_tensor`` ``(N, C, h, w)``, ``temb`` ``(N, time)``."""
        return residual_block(self, input_tensor, self.time_emb_proj(temb))


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
        tokens = _pointwise(self.proj_in, normed_tokens(self.norm, tokens_of(maps)))
        x = tokens.unflatten(0, (len(text), -1))
        x, normed = add_norm(block.norm1, x, None)
        found = attended(block.attn1, normed.flatten(0, 1)).view_as(x)
        x, normed = add_norm(block.norm2, x, found)
        found = attended(block.attn2, normed.flatten(1, 2), text).view_as(x)
        x, normed = add_norm(block.norm3, x, found)
        x = x + feed_forward(block.ff.net, normed)
        return maps + maps_of(_pointwise(self.proj_out, x.flatten(0, 1)), maps.shape[2])


def _pointwise(layer: nn.Conv2d, tokens: Tensor) -> Tensor:
    """A 1 x 1 convolution of tokens: the matrix product that it is."""
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)
