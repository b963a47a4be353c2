"""The completer's network: a U-Net over each window, with attention over time at every depth.

Inputs of a chunk of T frames, batch B (see `completer_clips.Batch`): `fine` ``(B, T, 11, 128,
128)``, `coarse` ``(B, T, 8, 64, 64)``, `times` ``(B, T)``. Outputs: `maps` ``(B, T, 4, 128, 128)``,
logits of three hypotheses of the amodal mask and of what lies in front of the object; `told`
``(B, T, 2)``, logits of "some of it is hidden" and of the first hypothesis's IoU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FINE, COARSE_CHANNELS = 11, 8
HYPOTHESES = 3
#: Channels at each depth; a small network for a first look on a CPU has ``(16, 32, 48, 64)``.
WIDTHS = (36, 72, 144, 176)


def conv(inside: int, outside: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    pad = (size - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, pad, bias=False), nn.BatchNorm2d(outside)
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width), conv(width, width)
        nn.init.constant_(self.second[1].weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class OverTime(nn.Module):
    """Each cell attends to the same cell of the window in the other frames.

    The times between two frames enter as biases that each head learns: how fast it forgets, and
    whether it looks back or ahead.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.BatchNorm2d(width)
        self.question = nn.Conv2d(width, width, 1)
        self.answer = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.forget = nn.Parameter(torch.linspace(-0.5, 1.0, heads))
        self.ahead = nn.Parameter(torch.linspace(-0.5, 0.5, heads))
        self.itself = nn.Parameter(torch.zeros(heads))
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        batch, count = times.shape
        width, height, across = x.shape[1], x.shape[2], x.shape[3]
        normed = self.norm(x)
        key, value = self.answer(normed).split(width, dim=1)

        def heads(y: Tensor) -> Tensor:
            y = y.reshape(batch, count, self.heads, width // self.heads, height * across)
            return y.permute(0, 4, 2, 1, 3)  # batch, cell, head, time, depth

        question, key, value = heads(self.question(normed)), heads(key), heads(value)
        apart = times[:, None, :] - times[:, :, None]  # batch, asking, asked
        far = torch.log1p(apart.abs() / 2)[:, None, None]
        sign = torch.sign(apart)[:, None, None]
        same = torch.eye(count, device=x.device, dtype=x.dtype)
        bias = (
            -self.forget[:, None, None] * far
            + self.ahead[:, None, None] * sign
            + self.itself[:, None, None] * same
        )
        scores = question @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        found = torch.softmax(scores + bias, dim=-1) @ value
        found = found.permute(0, 3, 2, 4, 1).reshape(batch * count, width, height, across)
        return x + self.out(found)


class CompleterNet(nn.Module):
    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        a, b, c, d = self.widths = widths
        self.stem = conv(FINE, a, 4, 2)
        self.join = conv(a + COARSE_CHANNELS, a, 1)
        self.enc1 = Residual(a)
        self.down2, self.enc2, self.time2 = conv(a, b, 3, 2), Residual(b), OverTime(b)
        self.down3, self.enc3, self.time3 = conv(b, c, 3, 2), Residual(c), OverTime(c)
        self.more3, self.again3 = Residual(c), OverTime(c)
        self.down4, self.enc4, self.time4 = conv(c, d, 3, 2), Residual(d), OverTime(d)
        self.more4, self.again4 = Residual(d), OverTime(d)
        self.up3, self.dec3, self.late3 = conv(d, c, 1), Residual(c), OverTime(c)
        self.up2, self.dec2, self.late2 = conv(c, b, 1), Residual(b), OverTime(b)
        self.up1, self.dec1 = conv(b, a, 1), Residual(a)
        self.last = nn.Conv2d(a, 4 * (HYPOTHESES + 1), 3, 1, 1)
        self.told = nn.Sequential(nn.Linear(d + b, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, fine: Tensor, coarse: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        batch, count = times.shape
        x = F.relu(self.stem(_channels_last(fine.flatten(0, 1))))
        x1 = self.enc1(F.relu(self.join(torch.cat([x, _channels_last(coarse.flatten(0, 1))], 1))))
        x2 = self.time2(self.enc2(F.relu(self.down2(x1))), times)
        x3 = self.time3(self.enc3(F.relu(self.down3(x2))), times)
        x3 = self.again3(self.more3(x3), times)
        x4 = self.time4(self.enc4(F.relu(self.down4(x3))), times)
        x4 = self.again4(self.more4(x4), times)
        y3 = self.late3(self.dec3(F.relu(x3 + _doubled(self.up3(x4)))), times)
        y2 = self.late2(self.dec2(F.relu(x2 + _doubled(self.up2(y3)))), times)
        y1 = self.dec1(F.relu(x1 + _doubled(self.up1(y2))))
        maps = F.pixel_shuffle(self.last(y1), 2)
        summary = torch.cat([x4.mean((2, 3)), y2.amax((2, 3))], 1)
        told = self.told(summary)
        return maps.unflatten(0, (batch, count)), told.unflatten(0, (batch, count))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _channels_last(x: Tensor) -> Tensor:
    return x if torch.onnx.is_in_onnx_export() else x.contiguous(memory_format=torch.channels_last)
