"""Composed clips, made on the card: a moving object among others, with its exact visible masks.

Each clip is a crop that follows the object loosely, as the tracker sees it: a background from real
footage with a motion of its own, up to two objects behind and two in front (posts, walls, other
objects, look-alikes), the frame's border, motion blur, noise. Six layers are drawn by one kernel
(`compose_kernel`); this module draws lots for what they are and how they move.

Coordinates: a crop spans -1..1; an object's own coordinates span -1..1 as its shape does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from compose_banks import MIPS, SHAPE_SIDE, FrameBank, ShapeBank
from compose_kernel import FRAME_SIZE, LAYER_SIZE, compose_kernel
from torch import Tensor
from torch.nn import functional as F

#: Layers from the back to the front: background, two behind, the object, two in front.
LAYERS, TARGET = 6, 3
#: Pictures are given as ``(colour - MEAN) / SPREAD``; beyond the frame lies 0.
MEAN, SPREAD = 0.447, 0.25
#: How likely each layer is there.
PRESENT = (1.0, 0.5, 0.4, 1.0, 0.7, 0.35)
#: How likely it looks like the object (same texture), and then has its shape too.
ALIKE = (0.0, 0.4, 0.3, 0.0, 0.25, 0.2)
SAME_SHAPE = 0.5
#: How likely the object is gone for a while, with nothing that hides it.
GOES_AWAY = 0.15
#: How likely its texture is of the background's own footage.
SAME_FOOTAGE = 0.35
#: Shares of the kinds of shapes, for objects and for what is in front of them.
KINDS_OBJECT = {"real": 0.35, "sticks": 0.12, "blobs": 0.09, "drawn": 0.09, "cutouts": 0.35}
KINDS_FRONT = {
    "real": 0.25, "sticks": 0.08, "blobs": 0.1, "drawn": 0.1, "bars": 0.22, "cutouts": 0.25,
}  # fmt: skip


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """A tensor that stays on the card: a CUDA graph may not copy one there."""
    return torch.tensor(values, device=device)


@dataclass(frozen=True)
class Batch:
    """Composed clips.

    Attributes
    ----------
    images : Tensor
        float16 ``(B, T, 3, S, S)``, normalised.
    masks : Tensor
        float16 ``(B, T, S, S)``, 0..1: the object's visible part; exact.
    valid : Tensor
        float32 ``(B,)``: 1 where the object is well in sight on the first frame.
    hidden : Tensor
        float32 ``(B, T)``: the hidden share of the object.
    """

    images: Tensor
    masks: Tensor
    valid: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Maker:
    """Makes batches of clips of one size; shapes are fixed, so that a CUDA graph may hold it."""

    frames: FrameBank
    shapes: ShapeBank
    batch: int
    length: int
    side: int

    @property
    def device(self) -> torch.device:
        return self.frames.pixels.device

    def make(self) -> Batch:
        layers, frames = self._lots()
        count = self.batch * self.length
        images = torch.empty(
            count, 3, self.side, self.side, dtype=torch.float16, device=self.device
        )
        masks = torch.empty(2, count, self.side, self.side, dtype=torch.float16, device=self.device)
        width, height = (32, 16) if self.device.type == "cuda" else (64, 64)
        compose_kernel[(count, -(-self.side // width) * -(-self.side // height))](
            images, masks[0], masks[1], self.frames.pixels, self.shapes.shapes,
            layers.contiguous(), frames.contiguous(),
            self.side, layer_count=LAYERS, target=TARGET, full_height=self.frames.height,
            full_width=self.frames.width, frame_count=self.frames.count, shape_side=SHAPE_SIDE,
            layer_size=LAYER_SIZE, frame_size=FRAME_SIZE,
            tile_width=width, tile_height=height,
        )  # fmt: skip
        return self._finished(images, masks)

    def _finished(self, images: Tensor, masks: Tensor) -> Batch:
        shape = (self.batch, self.length)
        coarse = max(1, self.batch // 8) * self.length
        small = F.avg_pool2d(images[:coarse], 2)
        images[:coarse] = F.interpolate(small, scale_factor=2, mode="bilinear")
        noise = torch.randn(self.batch, 1, 1, 1, 1, device=self.device).abs().mul(0.012).half()
        images = images.view(*shape, 3, self.side, self.side)
        images = images + noise * torch.randn_like(images)
        images = (images.clamp(0, 1) - MEAN) / SPREAD
        visible = masks[0].view(*shape, self.side, self.side)
        areas = masks.view(2, *shape, -1).mean(-1, dtype=torch.float32)
        hidden = 1 - areas[0] / areas[1].clamp(min=1e-5)
        valid = (hidden[:, 0] < 0.6) & (areas[0, :, 0] > 0.002)
        return Batch(images, visible, valid.float(), hidden)

    # lots

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device)

    def _chance(self, chances: tuple[float, ...]) -> Tensor:
        """A bool ``(B, L)``, each layer with its own chance."""
        return self._uniform(self.batch, LAYERS) < constant(chances, self.device)

    def _lots(self) -> tuple[Tensor, Tensor]:
        """What every layer of every frame is: ``(B, T, L, 64)`` and ``(B, T, 16)``."""
        batch, length = self.batch, self.length
        size = self._sizes()
        gap = torch.where(self._uniform(batch) < 0.6, 1.0, 1 + (self._uniform(batch) * 8).floor())
        time = torch.arange(length, device=self.device).float().repeat(batch, 1)
        time = time + (gap - 1)[:, None] * (time > 0)
        motion = _Motion.drawn(self, size, gap)
        jitter = self._jitter()
        inverse = motion.inverse(time, jitter)
        shutter = 0.5 * self._uniform(batch) * (self._uniform(batch) < 0.4)
        later = motion.inverse(time + shutter[:, None], jitter)
        gone, jump = self._absence()
        for matrix in (inverse, later):
            own = matrix[:, :, TARGET].unflatten(-1, (2, 3))
            own[..., 2] -= (own[..., :2] * jump[..., None, :]).sum(-1)

        out = torch.zeros(batch, length, LAYERS, LAYER_SIZE, device=self.device)
        out[..., 0:6] = inverse
        out[..., 6:12] = later - inverse
        out[..., 12:22] = self._waves(time)
        alike = self._chance(ALIKE)
        out[..., 22] = self._shape_numbers(alike, time)
        scale = size[:, None] * torch.exp(motion.zoom[:, None] * time[..., None])
        ramp = 0.7 + 1.5 * self._uniform(batch, 1, LAYERS)
        out[..., 23] = (scale * self.side / 128 / 0.33 / ramp).clamp(1, 40)
        out[..., 24] = self._chance(PRESENT).float()[:, None]
        out[:, :, TARGET, 24] *= 1 - gone
        self._fill(out, size, alike, time)
        return out, self._frames(shutter, time)

    def _sizes(self) -> Tensor:
        """Half the extent of each layer ``(B, L)``; the background's is 1."""
        few = self._uniform(self.batch) < 0.2
        own = torch.where(
            few,
            torch.exp(math.log(0.1) + self._uniform(self.batch) * math.log(0.35 / 0.1)),
            torch.exp(math.log(0.4) + self._uniform(self.batch) * math.log(1.2 / 0.4)),
        )
        size = own[:, None] * torch.exp(0.5 * self._normal(self.batch, LAYERS))
        usual = constant((1.0, 0.8, 0.8, 1.0, 1.8, 1.2), self.device)
        size = (size * usual).clamp(0.07, 3.0)
        size[:, TARGET] = own
        size[:, 0] = 1
        return size

    def _absence(self) -> tuple[Tensor, Tensor]:
        """When the object is simply not there, 0 or 1 ``(B, T)``, and where it is back: a shift.

        Something did hide it, or it left the crop; the shift is ``(B, T, 2)``.
        """
        frame = torch.arange(self.length, device=self.device)[None]
        first = 1 + (self._uniform(self.batch, 1) * (self.length - 1)).floor()
        end = first + 1 + (3 * self._uniform(self.batch, 1)).floor()
        is_so = self._uniform(self.batch, 1) < GOES_AWAY
        gone = is_so & (frame >= first) & (frame < end)
        back = (is_so & (frame >= end)).float()
        return gone.float(), back[..., None] * 0.25 * self._normal(self.batch, 1, 2)

    def _jitter(self) -> Tensor:
        """How the crop itself moves ``(B, T, 3)``: scale, dx, dy."""
        much = torch.where(self._uniform(self.batch, 1) < 0.25, 0.04, 0.008)
        jitter = self._normal(self.batch, self.length, 3) * much[..., None]
        scale = torch.exp(jitter[..., :1])
        return torch.cat([scale, jitter[..., 1:]], -1)

    def _waves(self, time: Tensor) -> Tensor:
        """Two waves that bend each layer, and go on with time ``(B, T, L, 10)``."""
        shape = (self.batch, 1, LAYERS, 2)
        much = self._uniform(self.batch, 1, LAYERS, 1) ** 2
        wave = 2.5 * self._normal(*shape, 2)
        phase = 6.3 * self._uniform(*shape) + 0.5 * self._normal(*shape) * time[..., None, None]
        # The steeper the wave, the lower: nothing folds over.
        height = (
            0.25
            * much[..., None]
            * self._normal(*shape, 2)
            / wave.norm(dim=-1, keepdim=True).clamp(min=1.5)
        )
        height[:, :, 0] *= 0.3
        full = (self.batch, self.length, LAYERS, 2)
        parts = [wave.expand(*full, 2), phase.expand(full)[..., None], height.expand(*full, 2)]
        return torch.cat(parts, -1).flatten(-2)

    def _shape_numbers(self, alike: Tensor, time: Tensor) -> Tensor:
        """The shape of each layer on each frame, ``(B, T, L)``."""
        kinds = tuple(self.shapes.kinds.values())
        bounds = constant(kinds, self.device)
        object_share, front_share = (
            constant(tuple(shares.get(kind, 0.0) for kind in self.shapes.kinds), self.device)
            for shares in (KINDS_OBJECT, KINDS_FRONT)
        )
        object_share = object_share.cumsum(0) / object_share.sum()
        front_share = front_share.cumsum(0) / front_share.sum()
        draw = self._uniform(self.batch, LAYERS, 1)
        is_front = torch.arange(LAYERS, device=self.device)[:, None] > TARGET
        kind = torch.where(
            is_front, (draw > front_share).sum(-1, True), (draw > object_share).sum(-1, True)
        )
        kind = kind[..., 0].clamp(max=len(kinds) - 1)
        low, high = bounds[kind, 0], bounds[kind, 1]
        sequence = low + (self._uniform(self.batch, LAYERS) * (high - low)).long().clamp(max=10**6)
        sequence = torch.minimum(sequence, high - 1)
        same = alike & (self._uniform(self.batch, LAYERS) < SAME_SHAPE)
        sequence = torch.where(same, sequence[:, TARGET : TARGET + 1], sequence)
        first, count = self.shapes.sequences[sequence].unbind(-1)
        pace = (self._uniform(self.batch, LAYERS) * 2.5).round()
        start = self._uniform(self.batch, LAYERS) * count
        place = start[:, None] + pace[:, None] * time[..., None]
        # To and fro, so that nothing jumps at the end of a sequence.
        span = (2 * count - 2).clamp(min=1)[:, None]
        place = place.long() % span
        place = torch.minimum(place, span - place).clamp(min=0)
        place = torch.minimum(place, (count - 1)[:, None].expand_as(place))
        return (first[:, None] + place).float()

    def _fill(self, out: Tensor, size: Tensor, alike: Tensor, time: Tensor) -> None:
        """Textures and colours of the layers."""
        batch = self.batch
        copy = alike[..., None]

        def like_target(values: Tensor) -> Tensor:
            return torch.where(copy, values[:, TARGET : TARGET + 1].expand_as(values), values)

        video = (self._uniform(batch, LAYERS) * len(self.frames.videos)).long()
        same = self._uniform(batch, LAYERS) < SAME_FOOTAGE
        video = torch.where(same, video[:, :1], video)
        video = like_target(video[..., None])[..., 0]
        start = self._uniform(batch, LAYERS, 1)
        start = like_target(start)[..., 0]
        extent = torch.exp(math.log(0.07) + self._uniform(batch, LAYERS, 1) * math.log(0.5 / 0.07))
        extent[:, 0] = extent[:, 0] * 0.8 + 0.2
        extent = like_target(extent) * torch.where(
            copy, torch.exp(0.1 * self._normal(batch, LAYERS, 1)), 1
        )
        place = self._uniform(batch, LAYERS, 2)
        place = torch.where(
            copy & (self._uniform(batch, LAYERS, 1) < 0.6), place[:, TARGET : TARGET + 1], place
        )
        out[..., 25:33] = self._texture(video, start, extent[..., 0], place, size, time)
        second = (self._uniform(batch, LAYERS) * len(self.frames.videos)).long()
        second = torch.where(self._uniform(batch, LAYERS) < 0.4, video, second)
        second = like_target(second[..., None])[..., 0]
        extent = torch.exp(math.log(0.07) + self._uniform(batch, LAYERS, 1) * math.log(0.5 / 0.07))
        place = like_target(self._uniform(batch, LAYERS, 2))
        start = like_target(self._uniform(batch, LAYERS, 1))[..., 0]
        out[..., 33:41] = self._texture(
            second, start, like_target(extent)[..., 0], place, size, time
        )

        angle = 6.3 * self._uniform(batch, LAYERS, 1)
        off = 0.3 * self._normal(batch, LAYERS, 1)
        off = torch.where(self._uniform(batch, LAYERS, 1) < 0.6, off, 99.0)
        rest = self._uniform(batch, LAYERS, 3) * constant((0.2, 8.0, 6.3), self.device)
        split = torch.cat([angle.cos(), angle.sin(), off, rest], -1)
        split[:, 0, 2] = 99.0
        out[..., 41:47] = like_target(split)[:, None]

        flat = 255 * self._uniform(batch, LAYERS, 3)
        kind = self._uniform(batch, LAYERS, 1)
        keep = self._uniform(batch, LAYERS, 1)
        keep = torch.where(
            kind < 0.6, 0.7 + 0.4 * keep, torch.where(kind < 0.88, 0.2 + 0.5 * keep, 0.2 * keep)
        )
        keep[:, 0] = 1
        gain = torch.exp(0.15 * self._normal(batch, LAYERS, 3))
        bias = 12 * self._normal(batch, LAYERS, 1) + 5 * self._normal(batch, LAYERS, 3)
        look = like_target(torch.cat([flat, keep, gain, bias], -1))
        slight = 0.04 * self._normal(batch, LAYERS, 3) * copy
        look[..., 4:7] = look[..., 4:7] * torch.exp(slight)
        out[..., 47:57] = look[:, None]
        drift = torch.exp(0.015 * self._normal(batch, 1, LAYERS, 1) * time[..., None, None])
        out[..., 51:54] *= drift.clamp(0.6, 1.6)
        shading = 0.15 * self._normal(batch, LAYERS, 2)
        shading[:, 0] *= 0.2
        out[..., 57:59] = shading[:, None]
        self._show_cutouts(out, size)

    def _show_cutouts(self, out: Tensor, size: Tensor) -> None:
        """Objects that were cut out of a frame look as they did there."""
        number, x, y, half = self.shapes.sources[out[..., 22].long()].unbind(-1)
        ratio = 2 * half * self.frames.height / (size * self.side)[:, None]
        level = torch.log2(ratio.clamp(min=0.1)).add(0.3).floor().clamp(0, MIPS - 1)
        none = torch.zeros_like(x)
        own = torch.stack([number, level, half, none, x, none, half, y], -1)
        is_cut = (number >= 0) & (torch.arange(LAYERS, device=self.device) > 0)
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
        batch = self.batch
        first, count = self.frames.videos[video].unbind(-1)
        runs = (self._uniform(batch, LAYERS) < 0.25).float()
        runs[:, 0] = 1
        is_scene = torch.arange(LAYERS, device=self.device) == 0
        pace = runs * torch.where(is_scene, (self._uniform(batch, LAYERS) * 2.5).round(), 1.0)
        number = (start * count)[:, None] + pace[:, None] * time[..., None]
        span = (2 * count - 2)[:, None]
        number = number.long() % span
        number = first[:, None] + torch.minimum(number, span - number).clamp(min=0)
        number = torch.minimum(number, (first + count - 1)[:, None].expand_as(number))
        # Pixels of the frame for each pixel of the crop tell the level.
        ratio = 2 * extent * self.frames.height / (size * self.side)
        level = (
            (torch.log2(ratio.clamp(min=0.1)) + 0.6 * self._uniform(batch, LAYERS))
            .floor()
            .clamp(0, MIPS - 1)
        )
        turn = 0.3 * self._normal(batch, LAYERS)
        turn[:, 0] = 0
        cos, sin = extent * turn.cos(), extent * turn.sin()
        wide = self.frames.width / self.frames.height
        centre_x = extent + place[..., 0] * (wide - 2 * extent)
        centre_y = extent + place[..., 1] * (1 - 2 * extent)
        affine = torch.stack([cos, -sin, centre_x, sin, cos, centre_y], -1)
        parts = [number.float()[..., None], level[:, None, :, None].expand(*number.shape, 1)]
        parts.append(affine[:, None].expand(*number.shape, 6))
        return torch.cat(parts, -1)

    def _frames(self, shutter: Tensor, time: Tensor) -> Tensor:
        """Sixteen numbers for each frame: its border, light and shutter."""
        batch, length = self.batch, self.length
        out = torch.zeros(batch, length, FRAME_SIZE, device=self.device)
        border = (
            0.6 * self._uniform(batch, 1, 4)
            - 0.1
            + 0.04 * self._normal(batch, 1, 4) * time[..., None]
        )
        border = border.clamp(max=1.3)
        is_there = (self._uniform(batch, 1, 4) < 0.3) & (self._uniform(batch, 1, 1) < 0.4)
        border = torch.where(is_there, 1 - border, 9.0)
        out[..., 0:4] = border * constant((-1.0, -1.0, 1.0, 1.0), self.device)
        light = 0.12 * self._normal(batch, 1, 1) + 0.06 * self._normal(batch, 1, 3)
        light = light + 0.015 * self._normal(batch, length, 1)
        out[..., 4:7] = torch.exp(light)
        out[..., 7] = 8 * self._normal(batch, 1)
        grey = (self._uniform(batch, 1) < 0.08).float()
        out[..., 8] = (0.5 + 0.7 * self._uniform(batch, 1)) * (1 - grey)
        out[..., 10] = torch.where(shutter > 0.05, 3.0, 1.0)[:, None]
        return out


@dataclass(frozen=True)
class _Motion:
    """How layers lie and move: each ``(B, L, ...)``."""

    centre: Tensor
    speed: Tensor
    sway: Tensor
    size: Tensor
    zoom: Tensor
    turn: Tensor
    spin: Tensor
    aspect: Tensor
    flip: Tensor

    @classmethod
    def drawn(cls, maker: Maker, size: Tensor, gap: Tensor) -> _Motion:
        batch = maker.batch
        normal, uniform = maker._normal, maker._uniform

        def heavy(much: float, *shape: int) -> Tensor:
            """Mostly little, at times a lot."""
            return much * normal(*shape) * torch.exp(0.7 * normal(*shape[:-1], 1))

        # The longer the first gap, the slower all goes.
        slow = 1 / (1 + 0.25 * (gap - 1))[:, None]
        own = heavy(0.045, batch, 2) * slow
        own_centre = (0.25 * normal(batch, 2)).clamp(-0.6, 0.6)
        scene = heavy(0.06, batch, 2) * slow
        reach = size + size[:, TARGET, None]
        angle = 6.3 * uniform(batch, LAYERS)
        heading = torch.stack([angle.cos(), 0.5 * angle.sin()], -1)
        heading = heading / heading.norm(dim=-1, keepdim=True)
        # In front: comes across the object at a moment of the clip. Behind: somewhere beside it.
        pace = (0.15 + 0.75 * uniform(batch, LAYERS)) * reach * slow
        across = heading * pace[..., None]
        fixed = (uniform(batch, LAYERS) < 0.4)[..., None]
        relative = torch.where(fixed, (scene - own)[:, None], across)
        meeting = (0.6 + uniform(batch, LAYERS) * (maker.length - 0.6)) + (gap - 1)[:, None]
        off = 0.4 * normal(batch, LAYERS, 2) * size[:, TARGET, None, None]
        centre = own_centre[:, None] + off - relative * meeting[..., None]
        # What goes with the scene would be far off if the scene went fast.
        centre = torch.where(
            fixed,
            own_centre[:, None]
            + off
            + (0.9 * reach)[..., None] * heading * uniform(batch, LAYERS, 1),
            centre,
        )
        speed = own[:, None] + relative
        beside = heading * (reach * (0.4 + 0.8 * uniform(batch, LAYERS)))[..., None]
        is_behind = (torch.arange(LAYERS, device=maker.device) < TARGET)[:, None]
        stray = torch.where(fixed, scene[:, None], own[:, None] + heavy(0.05, batch, LAYERS, 2))
        centre = torch.where(is_behind, own_centre[:, None] + beside, centre)
        speed = torch.where(is_behind, stray, speed)
        centre[:, TARGET], speed[:, TARGET] = own_centre, own
        centre[:, 0], speed[:, 0] = 0.0, scene
        zoom = heavy(0.02, batch, LAYERS, 1)[..., 0] * slow
        spin = heavy(0.03, batch, LAYERS, 1)[..., 0] * slow
        turn = 0.25 * normal(batch, LAYERS)
        zoom[:, 0] *= 0.5
        spin[:, 0] *= 0.4
        turn[:, 0] *= 0.2
        aspect = 0.15 * normal(batch, LAYERS)
        aspect[:, 0] = 0
        flip = torch.where(uniform(batch, LAYERS) < 0.5, -1.0, 1.0)
        sway = 0.03 * normal(batch, LAYERS, 2)
        return cls(centre, speed, sway, size, zoom.clamp(-0.12, 0.12), turn, spin, aspect, flip)

    def inverse(self, time: Tensor, jitter: Tensor) -> Tensor:
        """From crop coordinates to each layer's own: ``(B, T, L, 6)``, rows of a 2 x 3 matrix."""
        t = time[..., None]
        centre = self.centre[:, None] + self.speed[:, None] * t[..., None]
        centre = centre + self.sway[:, None] * (torch.sin(0.9 * t) - 0.0)[..., None]
        scale = self.size[:, None] * torch.exp((self.zoom[:, None] * t).clamp(-0.9, 0.9))
        angle = self.turn[:, None] + self.spin[:, None] * t
        cos, sin = angle.cos(), angle.sin()
        wide = self.flip[:, None] / (scale * torch.exp(self.aspect)[:, None])
        high = torch.exp(self.aspect)[:, None] / scale
        a, b = wide * cos, wide * sin
        c, d = -high * sin, high * cos
        zoom, dx, dy = (part[..., None] for part in jitter.unbind(-1))
        x, y = dx - centre[..., 0], dy - centre[..., 1]
        rows = [a * zoom, b * zoom, a * x + b * y, c * zoom, d * zoom, c * x + d * y]
        return torch.stack(rows, -1)
