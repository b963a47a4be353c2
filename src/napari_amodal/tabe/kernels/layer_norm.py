"""Residual sum, layer norm and position encoding of token rows in one pass."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: A program works on about this many values.
_VALUES = 2048


@triton.jit(do_not_specialize=["count", "pixels", "small", "frames"])
def _add_norm(
    x,
    more,
    where,
    weight,
    bias,
    offset,
    total,
    normed,
    count,
    channels,
    pixels,
    small,
    frames,
    eps,
    added: tl.constexpr,
    gathered: tl.constexpr,
    shifted: tl.constexpr,
    rows: tl.constexpr,
    wide: tl.constexpr,
):
    """``total = x + more``; ``normed = layer_norm(total) + offset[frame]``, some rows."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    column = tl.arange(0, wide)[None, :]
    inside = (row < count)[:, None] & (column < channels)
    at = row[:, None] * channels + column
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if added:
        source = row
        if gathered:
            pixel = tl.load(where + row % pixels, mask=row < count, other=0)
            source = (row // pixels) * small + pixel
        value += tl.load(more + source[:, None] * channels + column, mask=inside, other=0.0).to(
            tl.float32
        )
        value = value.to(total.dtype.element_ty)
        tl.store(total + at, value, mask=inside)
        value = value.to(tl.float32)
    mean = tl.sum(value, 1) / channels
    centred = tl.where(inside, value - mean[:, None], 0.0)
    rstd = 1 / tl.sqrt(tl.sum(centred * centred, 1) / channels + eps)
    here = column < channels
    w = tl.load(weight + column, mask=here, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=here, other=0.0).to(tl.float32)
    result = centred * rstd[:, None] * w + b
    if shifted:
        frame = (row // pixels) % frames
        result += tl.load(offset + frame[:, None] * channels + column, mask=inside, other=0.0).to(
            tl.float32
        )
    tl.store(normed + at, result.to(normed.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["count"])
def _gradient(
    total,
    dtotal,
    dnormed,
    weight,
    dx,
    count,
    channels,
    eps,
    with_total: tl.constexpr,
    rows: tl.constexpr,
    wide: tl.constexpr,
):
    """``dx = dtotal + the layer norm's gradient``, some rows."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    column = tl.arange(0, wide)[None, :]
    inside = (row < count)[:, None] & (column < channels)
    at = row[:, None] * channels + column
    value = tl.load(total + at, mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(value, 1) / channels
    centred = tl.where(inside, value - mean[:, None], 0.0)
    rstd = 1 / tl.sqrt(tl.sum(centred * centred, 1) / channels + eps)
    w = tl.load(weight + column, mask=column < channels, other=0.0).to(tl.float32)
    gradient = tl.load(dnormed + at, mask=inside, other=0.0).to(tl.float32) * w
    unit = centred * rstd[:, None]
    plain = tl.sum(gradient, 1) / channels
    along = tl.sum(gradient * unit, 1) / channels
    result = (gradient - plain[:, None] - unit * along[:, None]) * rstd[:, None]
    if with_total:
        result += tl.load(dtotal + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(dx + at, result.to(dx.dtype.element_ty), mask=inside)


def _tile(count: int, channels: int) -> tuple[tuple[int], dict[str, int]]:
    wide = triton.next_power_of_2(channels)
    rows = max(1, _VALUES // wide)
    return (triton.cdiv(count, rows),), {"rows": rows, "wide": wide}


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        more: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        offset: Tensor | None,
        where: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:
        ctx.set_materialize_grads(False)
        batch, frames, pixels, channels = x.shape
        count = batch * frames * pixels
        total = x if more is None else torch.empty_like(x)
        normed = torch.empty_like(x)
        grid, tile = _tile(count, channels)
        given = (
            x,
            x if more is None else more,
            x if where is None else where,
            weight,
            bias,
            x if offset is None else offset,
            total,
            normed,
        )
        small = 0 if more is None else more.shape[2]
        _add_norm[grid](
            *given,
            count,
            channels,
            pixels,
            small,
            frames,
            eps,
            added=more is not None,
            gathered=where is not None,
            shifted=offset is not None,
            **tile,
        )
        ctx.save_for_backward(total, weight, where)
        ctx.eps, ctx.added, ctx.small = eps, more is not None, small
        return (None if more is None else total), normed

    @staticmethod
    def backward(ctx: Any, dtotal: Tensor | None, dnormed: Tensor) -> tuple[Tensor | None, ...]:
        total, weight, where = ctx.saved_tensors
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            raise NotImplementedError("the fused layer norm is for frozen weights")
        channels = total.shape[-1]
        count = total.numel() // channels
        dx = torch.empty_like(total)
        grid, tile = _tile(count, channels)
        of_total = total if dtotal is None else dtotal.contiguous()
        given = (total, of_total, dnormed.contiguous(), weight, dx)
        with_total = dtotal is not None
        _gradient[grid](*given, count, channels, ctx.eps, with_total=with_total, **tile)
        of_more = None
        if ctx.added:
            of_more = dx if where is None else _gathered_back(dx, where, ctx.small)
        return dx, of_more, None, None, None, None, None


def _gathered_back(dx: Tensor, where: Tensor, small: int) -> Tensor:
    """Sum of the rows that took each row: a product, since atomic sums differ from run to run."""
    taken = where.long()[None, :] == torch.arange(small, device=dx.device)[:, None]
    return taken.to(dx.dtype) @ dx


def add_norm(
    x: Tensor,
    more: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    offset: Tensor | None = None,
    where: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A residual sum and its layer norm.

    Parameters
    ----------
    x : Tensor
        Contiguous ``(B, T, P, C)`` on a CUDA device.
    more : Tensor, optional
        Added to `x`: contiguous ``(B, T, P, C)``, or ``(B, T, p, C)`` with `where`.
    weight, bias : Tensor
        ``(C,)``; frozen.
    offset : Tensor, optional
        ``(T, C)``, added to the normed rows of each frame.
    where : Tensor, optional
        int32 ``(P,)``: the row of `more` that is added to each row of a frame.

    Returns
    -------
    total, normed : Tensor
        ``x + more`` and ``layer_norm(x + more) + offset``, as `x`.
    """
    total, normed = _AddNorm.apply(x, more, weight, bias, eps, offset, where)
    return (x if total is None else total), normed
