"""The tracker's network: a space-time memory network small enough for a CPU.

After STM (Oh et al., Video Object Segmentation using Space-Time Memory Networks, ICCV 2019), STCN
(Cheng et al., NeurIPS 2021: keys from the image alone, L2 affinity) and CFBI (Yang et al., ECCV
2020: what is not the object is matched too, and near by in the last frame). What differs: memory is
read twice, the last frame with a learned leaning to near places and kept frames without one; what
matches nothing in memory is matched to a null token, so that new things in front are told; and
values carry the mask itself, so that matching is trained directly.

Three parts, exported apart: `Encoder` (a picture to features), `Memorizer` (features and a mask to
a value) and `Reader` (features and memory to a mask).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8


@dataclass(frozen=True)
class Widths:
    """Channels at strides 2, 4, 8 and 16, of keys and of values."""

    at2: int = 32
    at4: int = 64
    at8: int = 128
    at16: int = 192
    key: int = 64
    value: int = 128


class Features(NamedTuple):
    """What a picture ``(N, 3, S, S)`` becomes: features at strides 2, 4, 8, and keys at 8."""

    at2: Tensor
    at4: Tensor
    at8: Tensor
    key: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03),
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = _conv(width, width)
        nn.init.constant_(self.second[1].weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Encoder(nn.Module):
    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.to2 = _conv(3, w.at2, 5, 2)
        self.to4 = _conv(w.at2, w.at4, 3, 2)
        self.at4 = Residual(w.at4)
        self.to8 = _conv(w.at4, w.at8, 3, 2)
        self.at8 = nn.Sequential(Residual(w.at8), Residual(w.at8))
        self.to16 = _conv(w.at8, w.at16, 3, 2)
        self.at16 = nn.Sequential(Residual(w.at16), Residual(w.at16))
        self.from16 = _conv(w.at16, w.at8, 1)
        self.merged = _conv(w.at8, w.at8)
        self.key = nn.Conv2d(w.at8, w.key, 1)

    def forward(self, picture: Tensor) -> Features:
        at2 = F.relu(self.to2(picture))
        at4 = self.at4(F.relu(self.to4(at2)))
        at8 = self.at8(F.relu(self.to8(at4)))
        at16 = self.at16(F.relu(self.to16(at8)))
        context = F.interpolate(self.from16(at16), scale_factor=2, mode="nearest")
        at8 = F.relu(self.merged(F.relu(at8 + context)))
        return Features(at2, at4, at8, self.key(at8))


class Memorizer(nn.Module):
    """A mask ``(N, 1, S, S)`` and its picture's features to a value ``(N, C + 2, S/8, S/8)``.

    The last two channels are the mask itself, and what is not it.
    """

    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.to8 = _conv(w.at4 + 16, 96, 3, 2)
        self.merged = _conv(96 + w.at8, w.value)
        self.refined = Residual(w.value)
        self.value = nn.Conv2d(w.value, w.value, 1)

    def forward(self, at4: Tensor, at8: Tensor, mask: Tensor) -> Tensor:
        at8_mask = F.relu(self.to8(torch.cat([at4, F.pixel_unshuffle(mask, 4)], 1)))
        value = self.refined(F.relu(self.merged(torch.cat([at8_mask, at8], 1))))
        share = F.avg_pool2d(mask, STRIDE)
        return torch.cat([self.value(value), share, 1 - share], 1)


class Matcher(nn.Module):
    """Reads memory where keys match: softmax over -scale |q - k|^2, with a null token.

    Parameters
    ----------
    near : bool
        Whether places near by count for more.
    """

    def __init__(self, w: Widths, *, near: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.0))
        self.null = nn.Parameter(torch.tensor(-4.0))
        self.near = nn.Parameter(torch.tensor(2.0)) if near else None
        self.width = w.key

    def query(self, key: Tensor, place: Tensor) -> Tensor:
        """Keys ``(N, Q, C)`` at places ``(1, Q, 2)`` as rows; times `memory`, they are logits.

        |q|^2, the same for all that a query is matched with, is left out but in the null token's
        logit, the last column.
        """
        scale = self.scale.exp() / self.width**0.5
        ones = torch.ones_like(key[..., :1])
        null = scale * key.square().sum(-1, keepdim=True) + self.null
        if self.near is None:
            return torch.cat([2 * scale * key, -scale * ones, null], -1)
        lean = self.near.exp()
        place = place.expand(key.shape[0], -1, -1)
        null = null + lean * place.square().sum(-1, keepdim=True)
        return torch.cat([2 * scale * key, -scale * ones, 2 * lean * place, -lean * ones, null], -1)

    def memory(self, key: Tensor, place: Tensor) -> Tensor:
        """Keys ``(N, M, C)`` at places ``(N, M, 2)`` as rows to match; the null token last."""
        length = key.square().sum(-1, keepdim=True)
        rows = [key, length]
        if self.near is not None:
            rows += [place, place.square().sum(-1, keepdim=True)]
        tokens = F.pad(torch.cat(rows, -1), (0, 1))
        null = F.pad(torch.zeros_like(tokens[:, :1, 1:]), (0, 1), value=1.0)
        return torch.cat([tokens, null], 1)

    def forward(
        self, key: Tensor, place: Tensor, memory_key: Tensor, memory_place: Tensor, value: Tensor
    ) -> Tensor:
        """Values ``(N, M, V)`` as read at each query ``(N, Q, V)``; 0 where nothing matches."""
        with torch.autocast(key.device.type, enabled=False):
            memory = self.memory(memory_key.float(), memory_place)
            share = (self.query(key.float(), place) @ memory.transpose(1, 2)).softmax(-1)
        return share.to(value.dtype) @ F.pad(value, (0, 0, 0, 1))


class Answer(NamedTuple):
    """Mask logits ``(N, 1, S/2, S/2)``; quality logit ``(N, 2)``: IoU, and whether it is in sight;
    and both reads' shares of the object and of the rest ``(N, 4, S/8, S/8)``."""

    mask: Tensor
    quality: Tensor
    matched: Tensor


class Reader(nn.Module):
    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.kept = Matcher(w, near=False)
        self.last = Matcher(w, near=True)
        self.merged = _conv(2 * (w.value + 2) + w.at8, w.at8, 1)
        self.refined = Residual(w.at8)
        self.to16 = _conv(w.at8, w.at8, 3, 2)
        self.at16 = Residual(w.at8)
        self.at8 = _conv(w.at8, w.at8)
        self.to4 = nn.Conv2d(w.at8, w.at4, 1)
        self.skip4 = nn.Conv2d(w.at4, w.at4, 1)
        self.at4 = Residual(w.at4)
        self.to2 = nn.Conv2d(w.at4, w.at2, 1)
        self.skip2 = nn.Conv2d(w.at2, w.at2, 1)
        self.at2 = nn.Sequential(_conv(w.at2, w.at2), nn.ReLU(), _conv(w.at2, w.at2), nn.ReLU())
        self.mask = nn.Conv2d(w.at2, 1, 3, padding=1)
        self.quality = nn.Sequential(
            nn.Linear(2 * w.at8 + w.at4 + 6, 64), nn.ReLU(), nn.Linear(64, 2)
        )

    def forward(
        self, features: Features, kept: tuple[Tensor, Tensor], last: tuple[Tensor, Tensor, Tensor]
    ) -> Answer:
        """The mask; `kept` is keys and values ``(N, M, C)``, and `last` has places too."""
        count, _, rows, columns = features.key.shape
        key = features.key.flatten(2).transpose(1, 2)
        place = places(rows, columns, key)
        reads = [
            self.kept(key, place, kept[0], place, kept[1]),
            self.last(key, place, last[0], last[2], last[1]),
        ]
        read = torch.cat(reads, -1).transpose(1, 2).reshape(count, -1, rows, columns)
        return self._decoded(features, read)

    def _decoded(self, features: Features, read: Tensor) -> Answer:
        half = read.shape[1] // 2
        matched = torch.cat([read[:, half - 2 : half], read[:, -2:]], 1)
        x = self.refined(F.relu(self.merged(torch.cat([read, features.at8], 1))))
        wide = self.at16(F.relu(self.to16(x)))
        x = F.relu(self.at8(x + F.interpolate(wide, scale_factor=2, mode="nearest")))
        y = F.interpolate(self.to4(x), scale_factor=2, mode="bilinear")
        y = self.at4(F.relu(y + self.skip4(features.at4)))
        z = F.interpolate(self.to2(y), scale_factor=2, mode="bilinear")
        z = self.at2(F.relu(z + self.skip2(features.at2)))
        mask = self.mask(z)
        return Answer(mask, self._judged(mask, x, y, matched), matched)

    def _judged(self, mask: Tensor, x: Tensor, y: Tensor, matched: Tensor) -> Tensor:
        """How good the mask is, from what lies in it and around; gradients stay in this head."""
        chance = torch.sigmoid(mask.detach())
        fine, coarse = F.avg_pool2d(chance, 2), F.avg_pool2d(chance, 4)
        area = coarse.sum((2, 3)) + 1e-2
        inside = (x.detach() * coarse).sum((2, 3)) / area
        outline = (y.detach() * fine).sum((2, 3)) / (4 * area)
        unsure = (4 * chance * (1 - chance)).sum((2, 3)) / (16 * area + 1)
        seen = (matched.detach() * coarse).sum((2, 3)) / area
        whole = x.detach().amax((2, 3))
        return self.quality(torch.cat([inside, whole, outline, unsure, area.log(), seen], 1))


def places(rows: int, columns: int, like: Tensor) -> Tensor:
    """The places ``(1, rows * columns, 2)`` of the cells of a crop, -1..1."""
    ys = (torch.arange(rows, device=like.device, dtype=torch.float32) + 0.5) * (2 / rows) - 1
    xs = (torch.arange(columns, device=like.device, dtype=torch.float32) + 0.5) * (2 / columns) - 1
    grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), -1)
    return grid.reshape(1, -1, 2)


def tokens(grid: Tensor) -> Tensor:
    """``(N, C, h, w)`` as ``(N, h * w, C)``."""
    return grid.flatten(2).transpose(1, 2)


class Tracker(nn.Module):
    """All three parts; `forward` follows an object through a training clip."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.encoder = Encoder(w)
        self.memorizer = Memorizer(w)
        self.reader = Reader(w)

    def forward(self, images: Tensor, first: Tensor) -> list[Answer]:
        """Masks of frames 1 .. T-1 of clips ``(B, T, 3, S, S)`` from frame 0's, ``(B, S, S)``.

        Each frame is told from frame 0, one in between, and the last, whose masks are the
        network's own.
        """
        batch, length = images.shape[:2]
        together = self.encoder(images.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        steps = [f.view(batch, length, *f.shape[1:]).unbind(1) for f in together]
        features = [Features(*parts) for parts in zip(*steps, strict=True)]
        keys = [tokens(f.key) for f in features]
        side = images.shape[-1] // STRIDE
        place = places(side, side, keys[0]).expand(batch, -1, -1)
        mask = first[:, None]
        values, answers = [], []
        for frame in range(1, length):
            before = features[frame - 1]
            values.append(tokens(self.memorizer(before.at4, before.at8, mask)))
            kept = [0] if frame < 3 else [0, frame // 2]
            answer = self.reader(
                features[frame],
                (torch.cat([keys[i] for i in kept], 1), torch.cat([values[i] for i in kept], 1)),
                (keys[frame - 1], values[frame - 1], place),
            )
            answers.append(answer)
            mask = F.interpolate(
                answer.mask.detach().float(), scale_factor=2, mode="bilinear"
            ).sigmoid()
            mask = mask.to(first.dtype)
        return answers
