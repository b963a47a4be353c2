"""What the layers of a composed clip look like: shapes, textures, colours, light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from compose_banks import MIPS, FrameBank, ShapeBank
from compose_dice import LAYERS, TARGET, Dice, constant
from compose_kernel import FRAME_SIZE
from torch import Tensor

SAME_SHAPE = 0.5
#: How likely its texture is of the background's own footage.
SAME_FOOTAGE = 0.35
#: Shares of the kinds of shapes, for objects and for what is in front of them.
KINDS_OBJECT = {"real": 0.35, "sticks": 0.12, "blobs": 0.09, "drawn": 0.09, "cutouts": 0.35}
KINDS_FRONT = {
    "real": 0.25, "sticks": 0.08, "blobs": 0.1, "drawn": 0.1, "bars": 0.22, "cutouts": 0.25,
}  # fmt: skip


@dataclass(frozen=True)
class Looks:
    """Fills the layers of clips whose frames are `side` pixels wide and high."""

    frames: FrameBank
    shapes: ShapeBank
    dice: Dice
    side: int

    def shape_numbers(self, alike: Tensor, time: Tensor) -> Tensor:
        """The shape of each layer on each frame, ``(B, T, L)``."""
        kinds = tuple(self.shapes.kinds.values())
        bounds = constant(kinds, self.dice.device)
        object_share, front_share = (
            constant(tuple(shares.get(kind, 0.0) for kind in self.shapes.kinds), self.dice.device)
            for shares in (KINDS_OBJECT, KINDS_FRONT)
        )
        object_share = object_share.cumsum(0) / object_share.sum()
        front_share = front_share.cumsum(0) / front_share.sum()
        draw = self.dice.uniform(self.dice.batch, LAYERS, 1)
        is_front = torch.arange(LAYERS, device=self.dice.device)[:, None] > TARGET
        kind = torch.where(
            is_front, (draw > front_share).sum(-1, True), (draw > object_share).sum(-1, True)
        )
        kind = kind[..., 0].clamp(max=len(kinds) - 1)
        low, high = bounds[kind, 0], bounds[kind, 1]
        sequence = low + (self.dice.uniform(self.dice.batch, LAYERS) * (high - low)).long().clamp(
            max=10**6
        )
        sequence = torch.minimum(sequence, high - 1)
        same = alike & (self.dice.uniform(self.dice.batch, LAYERS) < SAME_SHAPE)
        sequence = torch.where(same, sequence[:, TARGET : TARGET + 1], sequence)
        first, count = self.shapes.sequences[sequence].unbind(-1)
        pace = (self.dice.uniform(self.dice.batch, LAYERS) * 2.5).round()
        start = self.dice.uniform(self.dice.batch, LAYERS) * count
        place = start[:, None] + pace[:, None] * time[..., None]
        # To and fro, so that nothing jumps at the end of a sequence.
        span = (2 * count - 2).clamp(min=1)[:, None]
        place = place.long() % span
        place = torch.minimum(place, span - place).clamp(min=0)
        place = torch.minimum(place, (count - 1)[:, None].expand_as(place))
        return (first[:, None] + place).float()

    def fill(self, out: Tensor, size: Tensor, alike: Tensor, time: Tensor) -> None:
        """Textures and colours of the layers."""
        batch = self.dice.batch
        copy = alike[..., None]

        def like_target(values: Tensor) -> Tensor:
            return torch.where(copy, values[:, TARGET : TARGET + 1].expand_as(values), values)

        video = (self.dice.uniform(batch, LAYERS) * len(self.frames.videos)).long()
        same = self.dice.uniform(batch, LAYERS) < SAME_FOOTAGE
        video = torch.where(same, video[:, :1], video)
        video = like_target(video[..., None])[..., 0]
        start = self.dice.uniform(batch, LAYERS, 1)
        start = like_target(start)[..., 0]
        extent = torch.exp(
            math.log(0.07) + self.dice.uniform(batch, LAYERS, 1) * math.log(0.5 / 0.07)
        )
        extent[:, 0] = extent[:, 0] * 0.8 + 0.2
        extent = like_target(extent) * torch.where(
            copy, torch.exp(0.1 * self.dice.normal(batch, LAYERS, 1)), 1
        )
        place = self.dice.uniform(batch, LAYERS, 2)
        place = torch.where(
            copy & (self.dice.uniform(batch, LAYERS, 1) < 0.6), place[:, TARGET : TARGET + 1], place
        )
        out[..., 25:33] = self._texture(video, start, extent[..., 0], place, size, time)
        second = (self.dice.uniform(batch, LAYERS) * len(self.frames.videos)).long()
        second = torch.where(self.dice.uniform(batch, LAYERS) < 0.4, video, second)
        second = like_target(second[..., None])[..., 0]
        extent = torch.exp(
            math.log(0.07) + self.dice.uniform(batch, LAYERS, 1) * math.log(0.5 / 0.07)
        )
        place = like_target(self.dice.uniform(batch, LAYERS, 2))
        start = like_target(self.dice.uniform(batch, LAYERS, 1))[..., 0]
        out[..., 33:41] = self._texture(
            second, start, like_target(extent)[..., 0], place, size, time
        )

        angle = 6.3 * self.dice.uniform(batch, LAYERS, 1)
        off = 0.3 * self.dice.normal(batch, LAYERS, 1)
        off = torch.where(self.dice.uniform(batch, LAYERS, 1) < 0.6, off, 99.0)
        rest = self.dice.uniform(batch, LAYERS, 3) * constant((0.2, 8.0, 6.3), self.dice.device)
        split = torch.cat([angle.cos(), angle.sin(), off, rest], -1)
        split[:, 0, 2] = 99.0
        out[..., 41:47] = like_target(split)[:, None]

        flat = 255 * self.dice.uniform(batch, LAYERS, 3)
        kind = self.dice.uniform(batch, LAYERS, 1)
        keep = self.dice.uniform(batch, LAYERS, 1)
        keep = torch.where(
            kind < 0.6, 0.7 + 0.4 * keep, torch.where(kind < 0.88, 0.2 + 0.5 * keep, 0.2 * keep)
        )
        keep[:, 0] = 1
        gain = torch.exp(0.15 * self.dice.normal(batch, LAYERS, 3))
        bias = 12 * self.dice.normal(batch, LAYERS, 1) + 5 * self.dice.normal(batch, LAYERS, 3)
        look = like_target(torch.cat([flat, keep, gain, bias], -1))
        slight = 0.04 * self.dice.normal(batch, LAYERS, 3) * copy
        look[..., 4:7] = look[..., 4:7] * torch.exp(slight)
        out[..., 47:57] = look[:, None]
        drift = torch.exp(0.015 * self.dice.normal(batch, 1, LAYERS, 1) * time[..., None, None])
        out[..., 51:54] *= drift.clamp(0.6, 1.6)
        shading = 0.15 * self.dice.normal(batch, LAYERS, 2)
        shading[:, 0] *= 0.2
        out[..., 57:59] = shading[:, None]
        self._show_cutouts(out, size)

    def _extents(self) -> Tensor:
        """Half the height of the part of a frame that each layer shows: ``(B, L, 1)``."""
        lot = self.dice.uniform(self.dice.batch, LAYERS, 1)
        return torch.exp(math.log(0.07) + lot * math.log(0.5 / 0.07))

    def _show_cutouts(self, out: Tensor, size: Tensor) -> None:
        """Objects that were cut out of a frame look as they did there."""
        number, x, y, half = self.shapes.sources[out[..., 22].long()].unbind(-1)
        ratio = 2 * half * self.frames.height / (size * self.side)[:, None]
        level = torch.log2(ratio.clamp(min=0.1)).add(0.3).floor().clamp(0, MIPS - 1)
        none = torch.zeros_like(x)
        own = torch.stack([number, level, half, none, x, none, half, y], -1)
        is_cut = (number >= 0) & (torch.arange(LAYERS, device=self.dice.device) > 0)
        out[..., 25:33] = torch.where(is_cut[..., None], own, out[..., 25:33])
        out[..., 43] = torch.where(is_cut, 99.0, out[..., 43])
        out[..., 50] = torch.where(is_cut, out[..., 50].clamp(min=0.85), out[..., 50])

    def _texture(
        self,
        video: Tensor,
        start: Tensor,
        extent: Tensor,
        place: Tensor,
        size: Tensor,
        time: Tensor,
    ) -> Tensor:
        """Eight numbers for each layer's texture ``(B, T, L, 8)``: frame, level, affine."""
        batch = self.dice.batch
        first, count = self.frames.videos[video].unbind(-1)
        runs = (self.dice.uniform(batch, LAYERS) < 0.25).float()
        runs[:, 0] = 1
        is_scene = torch.arange(LAYERS, device=self.dice.device) == 0
        pace = runs * torch.where(is_scene, (self.dice.uniform(batch, LAYERS) * 2.5).round(), 1.0)
        number = (start * count)[:, None] + pace[:, None] * time[..., None]
        span = (2 * count - 2)[:, None]
        number = number.long() % span
        number = first[:, None] + torch.minimum(number, span - number).clamp(min=0)
        number = torch.minimum(number, (first + count - 1)[:, None].expand_as(number))
        # Pixels of the frame for each pixel of the crop tell the level.
        ratio = 2 * extent * self.frames.height / (size * self.side)
        level = (
            (torch.log2(ratio.clamp(min=0.1)) + 0.6 * self.dice.uniform(batch, LAYERS))
            .floor()
            .clamp(0, MIPS - 1)
        )
        turn = 0.3 * self.dice.normal(batch, LAYERS)
        turn[:, 0] = 0
        cos, sin = extent * turn.cos(), extent * turn.sin()
        wide = self.frames.width / self.frames.height
        centre_x = extent + place[..., 0] * (wide - 2 * extent)
        centre_y = extent + place[..., 1] * (1 - 2 * extent)
        affine = torch.stack([cos, -sin, centre_x, sin, cos, centre_y], -1)
        parts = [number.float()[..., None], level[:, None, :, None].expand(*number.shape, 1)]
        parts.append(affine[:, None].expand(*number.shape, 6))
        return torch.cat(parts, -1)

    def frame_numbers(self, shutter: Tensor, time: Tensor) -> Tensor:
        """Sixteen numbers for each frame: its border, light and shutter."""
        batch, length = self.dice.batch, self.dice.length
        out = torch.zeros(batch, length, FRAME_SIZE, device=self.dice.device)
        border = (
            0.6 * self.dice.uniform(batch, 1, 4)
            - 0.1
            + 0.04 * self.dice.normal(batch, 1, 4) * time[..., None]
        )
        border = border.clamp(max=1.3)
        is_there = (self.dice.uniform(batch, 1, 4) < 0.3) & (self.dice.uniform(batch, 1, 1) < 0.4)
        border = torch.where(is_there, 1 - border, 9.0)
        out[..., 0:4] = border * constant((-1.0, -1.0, 1.0, 1.0), self.dice.device)
        light = 0.12 * self.dice.normal(batch, 1, 1) + 0.06 * self.dice.normal(batch, 1, 3)
        light = light + 0.015 * self.dice.normal(batch, length, 1)
        out[..., 4:7] = torch.exp(light)
        out[..., 7] = 8 * self.dice.normal(batch, 1)
        grey = (self.dice.uniform(batch, 1) < 0.08).float()
        out[..., 8] = (0.5 + 0.7 * self.dice.uniform(batch, 1)) * (1 - grey)
        out[..., 10] = torch.where(shutter > 0.05, 3.0, 1.0)[:, None]
        return out
