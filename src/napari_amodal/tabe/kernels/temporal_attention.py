"""Attention of each pixel over the frames: many short sequences, each in one program's registers.

Fused attention for long sequences works on tiles of 64 or 128 queries, of which a clip's frames
fill a part. Here nothing is summed by atomic operations either, so that a fit repeats exactly.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit(do_not_specialize=["frames", "pixels"])
def _attend(
    qkv,
    y,
    frames,
    pixels,
    channels,
    scale,
    width: tl.constexpr,
    length: tl.constexpr,
    wide: tl.constexpr,
    precision: tl.constexpr,
):
    """One head of one pixel: queries, keys and values lie beside each other in a row."""
    head, pixel, video = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    frame = tl.arange(0, length)
    column = tl.arange(0, wide)
    inside = (frame < frames)[:, None] & (column < width)[None, :]
    row = (video * frames + frame).to(tl.int64) * pixels + pixel
    at = qkv + row[:, None] * 3 * channels + head * width + column[None, :]
    q = tl.load(at, mask=inside, other=0.0)
    k = tl.load(at + channels, mask=inside, other=0.0)
    v = tl.load(at + 2 * channels, mask=inside, other=0.0)
    s = tl.dot(q, tl.trans(k), input_precision=precision) * scale
    s = tl.where((frame < frames)[None, :], s, float("-inf"))
    p = tl.exp(s - tl.max(s, 1)[:, None])
    p = p / tl.sum(p, 1)[:, None]
    out = tl.dot(p.to(v.dtype), v, input_precision=precision)
    to = y + row[:, None] * channels + head * width + column[None, :]
    tl.store(to, out.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["frames", "pixels"])
def _gradient(
    qkv,
    dy,
    dqkv,
    frames,
    pixels,
    channels,
    scale,
    width: tl.constexpr,
    length: tl.constexpr,
    wide: tl.constexpr,
    precision: tl.constexpr,
):
    head, pixel, video = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    frame = tl.arange(0, length)
    column = tl.arange(0, wide)
    inside = (frame < frames)[:, None] & (column < width)[None, :]
    row = (video * frames + frame).to(tl.int64) * pixels + pixel
    place = row[:, None] * 3 * channels + head * width + column[None, :]
    q = tl.load(qkv + place, mask=inside, other=0.0)
    k = tl.load(qkv + place + channels, mask=inside, other=0.0)
    v = tl.load(qkv + place + 2 * channels, mask=inside, other=0.0)
    do = tl.load(
        dy + row[:, None] * channels + head * width + column[None, :], mask=inside, other=0.0
    )
    s = tl.dot(q, tl.trans(k), input_precision=precision) * scale
    s = tl.where((frame < frames)[None, :], s, float("-inf"))
    p = tl.exp(s - tl.max(s, 1)[:, None])
    p = p / tl.sum(p, 1)[:, None]
    dp = tl.dot(do, tl.trans(v), input_precision=precision)
    ds = p * (dp - tl.sum(dp * p, 1)[:, None]) * scale
    dv = tl.dot(tl.trans(p.to(v.dtype)), do, input_precision=precision)
    dq = tl.dot(ds.to(k.dtype), k, input_precision=precision)
    dk = tl.dot(tl.trans(ds.to(q.dtype)), q, input_precision=precision)
    kind = dqkv.dtype.element_ty
    tl.store(dqkv + place, dq.to(kind), mask=inside)
    tl.store(dqkv + place + channels, dk.to(kind), mask=inside)
    tl.store(dqkv + place + 2 * channels, dv.to(kind), mask=inside)


def _call(kernel: Any, tensors: tuple[Tensor, ...], qkv: Tensor, heads: int) -> None:
    batch, frames, pixels, channels = qkv.shape
    channels //= 3
    width = channels // heads
    wide = max(16, triton.next_power_of_2(width))
    length = max(16, triton.next_power_of_2(frames))
    kernel[heads, pixels, batch](
        *tensors,
        frames,
        pixels,
        channels,
        width**-0.5,
        width=width,
        length=length,
        wide=wide,
        precision="ieee" if qkv.dtype == torch.float32 else "tf32",
        num_warps=2 if length * wide <= 4096 else 4,
    )


class _TemporalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        y = qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)
        _call(_attend, (qkv, y), qkv, heads)
        ctx.save_for_backward(qkv)
        ctx.heads = heads
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        (qkv,) = ctx.saved_tensors
        dqkv = torch.empty_like(qkv)
        _call(_gradient, (qkv, dy.contiguous(), dqkv), qkv, ctx.heads)
        return dqkv, None


def temporal_attention(qkv: Tensor, heads: int) -> Tensor:
    """Self-attention over the frames, at each pixel.

    Parameters
    ----------
    qkv : Tensor
        Contiguous ``(B, T, P, 3 * C)`` on a CUDA device: queries, keys, values; T up to 64.
    heads : int

    Returns
    -------
    Tensor
        ``(B, T, P, C)``.
    """
    return _TemporalAttention.apply(qkv, heads)
