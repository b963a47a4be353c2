"""Gated GELU, and the end of a residual block."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit(do_not_specialize=["count"])
def _geglu(h, y, count, channels, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    place = h + (at // channels) * (2 * channels) + at % channels
    value = tl.load(place, mask=inside).to(tl.float32)
    gate = tl.load(place + channels, mask=inside).to(tl.float32)
    share = 0.5 * (1 + tl.erf(gate * 0.7071067811865476))
    tl.store(y + at, (value * gate * share).to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["count"])
def _geglu_gradient(h, dy, dh, count, channels, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    place = (at // channels) * (2 * channels) + at % channels
    value = tl.load(h + place, mask=inside).to(tl.float32)
    gate = tl.load(h + place + channels, mask=inside).to(tl.float32)
    gradient = tl.load(dy + at, mask=inside).to(tl.float32)
    share = 0.5 * (1 + tl.erf(gate * 0.7071067811865476))
    density = 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
    tl.store(dh + place, (gradient * gate * share).to(dh.dtype.element_ty), mask=inside)
    of_gate = gradient * value * (share + gate * density)
    tl.store(dh + place + channels, of_gate.to(dh.dtype.element_ty), mask=inside)


class _GatedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        channels = h.shape[-1] // 2
        y = h.new_empty(*h.shape[:-1], channels)
        _geglu[(triton.cdiv(y.numel(), _BLOCK),)](h, y, y.numel(), channels, block=_BLOCK)
        ctx.save_for_backward(h)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        dh = torch.empty_like(h)
        numbers = (dy.numel(), h.shape[-1] // 2)
        grid = (triton.cdiv(dy.numel(), _BLOCK),)
        _geglu_gradient[grid](h, dy.contiguous(), dh, *numbers, block=_BLOCK)
        return dh


def gated_gelu(h: Tensor) -> Tensor:
    """``value * gelu(gate)`` of a contiguous ``(..., 2 * channels)``: value, then gate."""
    return _GatedGelu.apply(h)


@triton.jit(do_not_specialize=["count"])
def _sum_with_bias(
    x,
    bias,
    more,
    more_bias,
    y,
    count,
    channels,
    two: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    value = tl.load(x + at, mask=inside).to(tl.float32)
    value += tl.load(bias + at % channels, mask=inside).to(tl.float32)
    value += tl.load(more + at, mask=inside).to(tl.float32)
    if two:
        value += tl.load(more_bias + at % channels, mask=inside).to(tl.float32)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)


class _SumWithBias(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bias: Tensor, more: Tensor, more_bias: Tensor | None
    ) -> Tensor:
        y = torch.empty_like(x)
        grid = (triton.cdiv(x.numel(), _BLOCK),)
        two = more_bias is not None
        numbers = (x.numel(), x.shape[-1])
        given = (x, bias, more, more_bias if two else bias, y)
        _sum_with_bias[grid](*given, *numbers, two=two, block=_BLOCK)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[3]:
            raise NotImplementedError("the fused sum is for frozen biases")
        return dy, None, dy, None


def sum_with_bias(x: Tensor, bias: Tensor, more: Tensor, more_bias: Tensor | None = None) -> Tensor:
    """``x + bias + more``, and a bias of the second where there is one.

    Parameters
    ----------
    x, more : Tensor
        Contiguous ``(..., channels)`` on a CUDA device.
    bias, more_bias : Tensor
        ``(channels,)``; frozen.
    """
    return _SumWithBias.apply(x, bias, more, more_bias)
