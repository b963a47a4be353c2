"""Group norm of channels-last maps, with what comes before and behind it.

PyTorch's copies a channels-last map to the other layout and back. These kernels read it as it lies:
once for the statistics and once for the result. A value that is added to each channel of a map (a
convolution's bias, a time embedding) changes the statistics in a known way and costs no pass.
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
#: Programs that share the statistics of one map at most, each with some of its tiles; and how many
#: of them there should be for the whole card.
_PARTS = 64
_PROGRAMS = 4096


@triton.jit(do_not_specialize=["pixels", "parts"])
def _moments(x, sums, pixels, channels, parts, rows: tl.constexpr, columns: tl.constexpr):
    """Sum and sum of squares of each channel over a part of one map, to ``sums[n, part, 2, C]``."""
    image, part, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    column = block * columns + tl.arange(0, columns)
    total = tl.zeros((rows, columns), tl.float32)
    squares = tl.zeros((rows, columns), tl.float32)
    base = x + image.to(tl.int64) * pixels * channels
    for start in range(part * rows, pixels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row < pixels)[:, None] & (column < channels)[None, :]
        value = tl.load(base + row[:, None] * channels + column[None, :], mask=inside, other=0.0)
        value = value.to(tl.float32)
        total += value
        squares += value * value
    out = sums + (image * parts + part) * 2 * channels + column
    tl.store(out, tl.sum(total, 0), mask=column < channels)
    tl.store(out + channels, tl.sum(squares, 0), mask=column < channels)


@triton.jit(do_not_specialize=["pixels", "parts", "wide"])
def _affine(
    sums,
    added,
    weight,
    bias,
    scale,
    shift,
    mean_of,
    rstd_of,
    pixels,
    channels,
    parts,
    wide,
    eps,
    with_added: tl.constexpr,
    most_parts: tl.constexpr,
    block: tl.constexpr,
):
    """What one group's norm does to each of its channels: a scale and a shift."""
    image, group, groups = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    part = tl.arange(0, most_parts)[:, None]
    offset = tl.arange(0, block)
    here = offset < wide
    column = group * wide + offset
    at = sums + (image * parts + part) * 2 * channels + column[None, :]
    inside = (part < parts) & here[None, :]
    total = tl.sum(tl.load(at, mask=inside, other=0.0), 0)
    squares = tl.sum(tl.load(at + channels, mask=inside, other=0.0), 0)
    extra = tl.zeros((block,), tl.float32)
    if with_added:
        extra = tl.load(added + image * channels + column, mask=here, other=0.0).to(tl.float32)
        squares += 2 * extra * total + pixels * extra * extra
        total += pixels * extra
    size = pixels * wide
    mean = tl.sum(total, 0) / size
    variance = tl.maximum(tl.sum(squares, 0) / size - mean * mean, 0.0)
    rstd = 1 / tl.sqrt(variance + eps)
    a = rstd * tl.load(weight + column, mask=here, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=here, other=0.0).to(tl.float32) + (extra - mean) * a
    tl.store(scale + image * channels + column, a, mask=here)
    tl.store(shift + image * channels + column, b, mask=here)
    tl.store(mean_of + image * groups + group, mean)
    tl.store(rstd_of + image * groups + group, rstd)


@triton.jit(do_not_specialize=["pixels"])
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


@triton.jit(do_not_specialize=["pixels", "parts"])
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
    plain = tl.zeros((rows, columns), tl.float32)
    with_x = tl.zeros((rows, columns), tl.float32)
    base = image.to(tl.int64) * pixels * channels
    for start in range(part * rows, pixels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row < pixels)[:, None] & (column < channels)[None, :]
        at = base + row[:, None] * channels + column[None, :]
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        gradient = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
        if silu:
            gradient = _through_silu(gradient, value * a[None, :] + b[None, :])
        plain += gradient
        with_x += gradient * value
    out = sums + (image * parts + part) * 2 * channels + column
    tl.store(out, tl.sum(plain, 0), mask=column < channels)
    tl.store(out + channels, tl.sum(with_x, 0), mask=column < channels)


@triton.jit(do_not_specialize=["pixels", "parts", "wide"])
def _gradient_affine(
    sums,
    added,
    weight,
    mean_of,
    rstd_of,
    of_x,
    of_one,
    pixels,
    channels,
    parts,
    wide,
    with_added: tl.constexpr,
    most_parts: tl.constexpr,
    block: tl.constexpr,
):
    """The part of the gradient that goes through one group's mean and deviation."""
    image, group, groups = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    part = tl.arange(0, most_parts)[:, None]
    offset = tl.arange(0, block)
    here = offset < wide
    column = group * wide + offset
    at = sums + (image * parts + part) * 2 * channels + column[None, :]
    inside = (part < parts) & here[None, :]
    plain = tl.sum(tl.load(at, mask=inside, other=0.0), 0)
    with_x = tl.sum(tl.load(at + channels, mask=inside, other=0.0), 0)
    extra = tl.zeros((block,), tl.float32)
    if with_added:
        extra = tl.load(added + image * channels + column, mask=here, other=0.0).to(tl.float32)
        with_x += extra * plain
    w = tl.load(weight + column, mask=here, other=0.0).to(tl.float32)
    mean = tl.load(mean_of + image * groups + group)
    rstd = tl.load(rstd_of + image * groups + group)
    size = pixels * wide
    sum_plain = tl.sum(plain * w, 0)
    sum_normed = (tl.sum(with_x * w, 0) - mean * sum_plain) * rstd
    slope = -rstd * rstd * sum_normed / size
    constant = -rstd * sum_plain / size - mean * slope
    zero = tl.zeros((block,), tl.float32)
    tl.store(of_x + image * channels + column, zero + slope, mask=here)
    tl.store(of_one + image * channels + column, constant + extra * slope, mask=here)


@triton.jit(do_not_specialize=["pixels"])
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
    """Run a kernel of sums over a map ``(N, P, C)``; float32 ``(N, parts, 2, C)``."""
    count, pixels, channels = shape
    blocks = triton.cdiv(channels, _COLUMNS)
    parts = min(_PARTS, triton.cdiv(pixels, _ROWS), triton.cdiv(_PROGRAMS, count * blocks))
    sums = torch.empty(count, parts, 2, channels, dtype=torch.float32, device=inputs[0].device)
    grid = (count, parts, blocks)
    kernel[grid](*inputs, sums, pixels, channels, parts, rows=_ROWS, columns=_COLUMNS, **options)
    return sums


def _tiles(shape: torch.Size) -> tuple[int, int, int]:
    count, pixels, channels = shape
    return count, triton.cdiv(pixels, _ROWS), triton.cdiv(channels, _COLUMNS)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        added: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        groups: int,
        eps: float,
        silu: bool,
    ) -> Tensor:
        count, pixels, channels = x.shape
        wide = channels // groups
        sums = _channel_sums(_moments, (x,), x.shape)
        scale, shift = x.new_empty(2, count, channels, dtype=torch.float32)
        mean, rstd = x.new_empty(2, count, groups, dtype=torch.float32)
        sizes = {"most_parts": _PARTS, "block": triton.next_power_of_2(wide)}
        outs = (scale, shift, mean, rstd)
        given = (sums, x if added is None else added, weight, bias, *outs)
        numbers = (pixels, channels, sums.shape[1], wide, eps)
        _affine[count, groups](*given, *numbers, with_added=added is not None, **sizes)
        y = torch.empty_like(x)
        _apply[_tiles(x.shape)](
            x, scale, shift, y, pixels, channels, silu=silu, rows=_ROWS, columns=_COLUMNS
        )
        ctx.save_for_backward(x, added, weight, scale, shift, mean, rstd)
        ctx.groups, ctx.silu = groups, silu
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, added, weight, scale, shift, mean, rstd = ctx.saved_tensors
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            raise NotImplementedError("the fused group norm is for frozen weights")
        count, pixels, channels = x.shape
        dy = dy.contiguous()
        sums = _channel_sums(_gradient_moments, (x, dy, scale, shift), x.shape, silu=ctx.silu)
        wide = channels // ctx.groups
        of_x, of_one = torch.empty_like(scale), torch.empty_like(scale)
        sizes = {"most_parts": _PARTS, "block": triton.next_power_of_2(wide)}
        given = (sums, x if added is None else added, weight, mean, rstd, of_x, of_one)
        numbers = (pixels, channels, sums.shape[1], wide)
        grid = (count, ctx.groups)
        _gradient_affine[grid](*given, *numbers, with_added=added is not None, **sizes)
        dx = torch.empty_like(x)
        tile = {"silu": ctx.silu, "rows": _ROWS, "columns": _COLUMNS}
        parts = (scale, shift, of_x, of_one, dx, pixels, channels)
        _gradient_apply[_tiles(x.shape)](x, dy, *parts, **tile)
        of_added = dx.sum(1) if ctx.needs_input_grad[1] else None
        return dx, of_added, None, None, None, None, None


def group_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    *,
    silu: bool,
    added: Tensor | None = None,
) -> Tensor:
    """Group norm of each map, with SiLU behind it or not.

    Parameters
    ----------
    x : Tensor
        Contiguous ``(N, pixels, channels)`` on a CUDA device.
    weight, bias : Tensor
        ``(channels,)``; frozen.
    added : Tensor, optional
        Contiguous ``(N, channels)``: added to each map's channels before the norm.
    """
    return _GroupNorm.apply(x, added, weight, bias, groups, eps, silu)
