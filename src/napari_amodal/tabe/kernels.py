"""Steps of the UNet for NVIDIA cards: group norm (with SiLU) and gated GELU, fused; dropout.

PyTorch's group norm copies a channels-last map to the other layout and back, and each activation is
a pass of its own; at full size that was most of a step's time. These read channels-last maps as
they lie: once for the statistics and once for the result. `layers` takes them for tensors on a CUDA
device and plain PyTorch elsewhere; the mathematics is the same.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: A program works on tiles of this many pixels by this many channels.
_ROWS = 32
_COLUMNS = 64
#: Programs that share the statistics of one map; each sums some of its tiles.
_PARTS = 16


@triton.jit
def _moments(x, sums, pixels, channels, parts, rows: tl.constexpr, columns: tl.constexpr):
    """Sum and sum of squares of each channel over a part of one map, to ``sums[n, part, 2, C]``."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    column = block * columns + tl.arange(0, columns)
    total = tl.zeros((columns,), tl.float32)
    squares = tl.zeros((columns,), tl.float32)
    base = x + image.to(tl.int64) * pixels * channels
    for start in range(part * rows, pixels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row < pixels)[:, None] & (column < channels)[None, :]
        value = tl.load(base + row[:, None] * channels + column[None, :], mask=inside, other=0.0)
        value = value.to(tl.float32)
        total += tl.sum(value, 0)
        squares += tl.sum(value * value, 0)
    out = sums + (image * parts + part) * 2 * channels + column
    tl.store(out, total, mask=column < channels)
    tl.store(out + channels, squares, mask=column < channels)


@triton.jit
def _apply(
    x,
    scale,
    shift,
    y,
    pixels,
    channels,
    silu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """``y = act(x * scale + shift)`` on one tile, scale and shift a channel of each map."""
    image, tile, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tile * rows + tl.arange(0, rows)
    column = block * columns + tl.arange(0, columns)
    inside = (row < pixels)[:, None] & (column < channels)[None, :]
    at = image.to(tl.int64) * pixels * channels + row[:, None] * channels + column[None, :]
    a = tl.load(scale + image * channels + column, mask=column < channels, other=0.0)
    b = tl.load(shift + image * channels + column, mask=column < channels, other=0.0)
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) * a[None, :] + b[None, :]
    if silu:
        value = value * tl.sigmoid(value)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _through_silu(gradient, z):
    """The gradient before SiLU from the one behind it."""
    gate = tl.sigmoid(z)
    return gradient * gate * (1 + z * (1 - gate))


@triton.jit
def _gradient_moments(
    x,
    dy,
    scale,
    shift,
    sums,
    pixels,
    channels,
    parts,
    silu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Sums of the normed gradient, and of it times x, a channel, to ``sums[n, part, 2, C]``."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    column = block * columns + tl.arange(0, columns)
    a = tl.load(scale + image * channels + column, mask=column < channels, other=0.0)
    b = tl.load(shift + image * channels + column, mask=column < channels, other=0.0)
    plain = tl.zeros((columns,), tl.float32)
    with_x = tl.zeros((columns,), tl.float32)
    base = image.to(tl.int64) * pixels * channels
    for start in range(part * rows, pixels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row < pixels)[:, None] & (column < channels)[None, :]
        at = base + row[:, None] * channels + column[None, :]
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        gradient = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
        if silu:
            gradient = _through_silu(gradient, value * a[None, :] + b[None, :])
        plain += tl.sum(gradient, 0)
        with_x += tl.sum(gradient * value, 0)
    out = sums + (image * parts + part) * 2 * channels + column
    tl.store(out, plain, mask=column < channels)
    tl.store(out + channels, with_x, mask=column < channels)


@triton.jit
def _gradient_apply(
    x,
    dy,
    scale,
    shift,
    of_x,
    of_one,
    dx,
    pixels,
    channels,
    silu: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """``dx = dz * scale + x * of_x + of_one`` on one tile."""
    image, tile, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tile * rows + tl.arange(0, rows)
    column = block * columns + tl.arange(0, columns)
    inside = (row < pixels)[:, None] & (column < channels)[None, :]
    at = image.to(tl.int64) * pixels * channels + row[:, None] * channels + column[None, :]
    channel = image * channels + column
    here = column < channels
    a = tl.load(scale + channel, mask=here, other=0.0)[None, :]
    b = tl.load(shift + channel, mask=here, other=0.0)[None, :]
    c = tl.load(of_x + channel, mask=here, other=0.0)[None, :]
    d = tl.load(of_one + channel, mask=here, other=0.0)[None, :]
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    gradient = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
    if silu:
        gradient = _through_silu(gradient, value * a + b)
    result = gradient * a + value * c + d
    tl.store(dx + at, result.to(dx.dtype.element_ty), mask=inside)


def _channel_sums(
    kernel: Any, inputs: tuple[Tensor, ...], shape: torch.Size, **options: Any
) -> Tensor:
    """Run a kernel of sums over a map ``(N, P, C)``; float32 ``(N, 2, C)``."""
    count, pixels, channels = shape
    parts = min(_PARTS, triton.cdiv(pixels, _ROWS))
    sums = torch.empty(count, parts, 2, channels, dtype=torch.float32, device=inputs[0].device)
    grid = (count, parts, triton.cdiv(channels, _COLUMNS))
    kernel[grid](*inputs, sums, pixels, channels, parts, rows=_ROWS, columns=_COLUMNS, **options)
    return sums.sum(1)


def _tiles(shape: torch.Size) -> tuple[int, int, int]:
    count, pixels, channels = shape
    return count, triton.cdiv(pixels, _ROWS), triton.cdiv(channels, _COLUMNS)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool
    ) -> Tensor:
        _, pixels, channels = x.shape
        size = pixels * (channels // groups)
        sums = _channel_sums(_moments, (x,), x.shape).unflatten(2, (groups, -1)).sum(3)
        mean = sums[:, 0] / size
        rstd = (sums[:, 1] / size - mean.square()).clamp_min_(0).add_(eps).rsqrt_()
        scale = rstd.repeat_interleave(channels // groups, 1) * weight.float()
        shift = bias.float() - mean.repeat_interleave(channels // groups, 1) * scale
        y = torch.empty_like(x)
        _apply[_tiles(x.shape)](
            x, scale, shift, y, pixels, channels, silu=silu, rows=_ROWS, columns=_COLUMNS
        )
        ctx.save_for_backward(x, weight, scale, shift, mean, rstd)
        ctx.groups, ctx.silu = groups, silu
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale, shift, mean, rstd = ctx.saved_tensors
        _, pixels, channels = x.shape
        dy = dy.contiguous()
        sums = _channel_sums(_gradient_moments, (x, dy, scale, shift), x.shape, silu=ctx.silu)
        wide = channels // ctx.groups
        weighted = (sums * weight.float()).unflatten(2, (ctx.groups, wide)).sum(3)
        size = pixels * wide
        plain = weighted[:, 0] / size
        with_x = (weighted[:, 1] - mean * weighted[:, 0]) * rstd / size
        of_x = -rstd.square() * with_x
        of_one = -rstd * plain - mean * of_x
        dx = torch.empty_like(x)
        _gradient_apply[_tiles(x.shape)](
            x,
            dy,
            scale,
            shift,
            of_x.repeat_interleave(wide, 1),
            of_one.repeat_interleave(wide, 1),
            dx,
            pixels,
            channels,
            silu=ctx.silu,
            rows=_ROWS,
            columns=_COLUMNS,
        )
        if not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2]):
            return dx, None, None, None, None, None
        centred = sums[:, 1] - mean.repeat_interleave(wide, 1) * sums[:, 0]
        of_weight = (centred * rstd.repeat_interleave(wide, 1)).sum(0)
        return dx, of_weight.to(weight.dtype), sums[:, 0].sum(0).to(weight.dtype), None, None, None


def group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, *, silu: bool
) -> Tensor:
    """Group norm of each map, with SiLU behind it or not.

    Parameters
    ----------
    x : Tensor
        Contiguous ``(N, pixels, channels)`` on a CUDA device.
    """
    return _GroupNorm.apply(x, weight, bias, groups, eps, silu)


@triton.jit
def _geglu(h, y, rows, channels, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < channels
    value = tl.load(h + row * 2 * channels + column, mask=inside).to(tl.float32)
    gate = tl.load(h + row * 2 * channels + channels + column, mask=inside).to(tl.float32)
    share = 0.5 * (1 + tl.erf(gate * 0.7071067811865476))
    tl.store(
        y + row * channels + column, (value * gate * share).to(y.dtype.element_ty), mask=inside
    )


@triton.jit
def _geglu_gradient(h, dy, dh, rows, channels, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < channels
    value = tl.load(h + row * 2 * channels + column, mask=inside).to(tl.float32)
    gate = tl.load(h + row * 2 * channels + channels + column, mask=inside).to(tl.float32)
    gradient = tl.load(dy + row * channels + column, mask=inside).to(tl.float32)
    share = 0.5 * (1 + tl.erf(gate * 0.7071067811865476))
    density = 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
    out = dh + row * 2 * channels + column
    tl.store(out, (gradient * gate * share).to(dh.dtype.element_ty), mask=inside)
    of_gate = gradient * value * (share + gate * density)
    tl.store(out + channels, of_gate.to(dh.dtype.element_ty), mask=inside)


_BLOCK = 1024


class _GatedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        channels = h.shape[-1] // 2
        rows = h.numel() // (2 * channels)
        y = h.new_empty(*h.shape[:-1], channels)
        _geglu[(rows, triton.cdiv(channels, _BLOCK))](h, y, rows, channels, block=_BLOCK)
        ctx.save_for_backward(h)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        channels = h.shape[-1] // 2
        rows = h.numel() // (2 * channels)
        dh = torch.empty_like(h)
        grid = (rows, triton.cdiv(channels, _BLOCK))
        _geglu_gradient[grid](h, dy.contiguous(), dh, rows, channels, block=_BLOCK)
        return dh


def gated_gelu(h: Tensor) -> Tensor:
    """``value * gelu(gate)`` of a contiguous ``(..., 2 * channels)``: value, then gate."""
    return _GatedGelu.apply(h)


@triton.jit
def _dropped(x, y, seed, layer, count, keep, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    drawn = tl.rand(tl.load(seed) + layer, at)
    value = tl.load(x + at, mask=inside).to(tl.float32)
    value = tl.where(drawn < keep, value / keep, 0.0)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)


def _run_dropped(x: Tensor, seed: Tensor, layer: int, rate: float) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), _BLOCK),)
    _dropped[grid](x, y, seed, layer, x.numel(), 1 - rate, block=_BLOCK)
    return y


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: Tensor, layer: int, rate: float) -> Tensor:
        ctx.save_for_backward(seed)
        ctx.layer, ctx.rate = layer, rate
        return _run_dropped(x, seed, layer, rate)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (seed,) = ctx.saved_tensors
        return _run_dropped(dy, seed, ctx.layer, ctx.rate), None, None, None


def dropout(x: Tensor, seed: Tensor, layer: int, rate: float) -> Tensor:
    """Dropout whose mask follows from a seed and a number, so that nothing has to be kept.

    The backward pass, and a layer that is computed twice to save memory, draw the same mask again;
    a random generator's state could not be read inside a captured CUDA graph.

    Parameters
    ----------
    x : Tensor
        On a CUDA device.
    seed : Tensor
        int64 ``(1,)`` on the device; changes from step to step.
    layer : int
        Tells one dropout from another.
    rate : float
        Share of the values that is dropped.
    """
    return _Dropout.apply(x, seed, layer, rate)
