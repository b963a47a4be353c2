"""Composed clips, made on the card: a moving object among others, with its exact visible masks.

Each clip is a crop that follows the object loosely, as the tracker sees it: a background from real
footage with a motion of its own, up to two objects behind and two in front (posts, walls, other
objects, look-alikes), the frame's border, motion blur, noise. Six layers are drawn by one kernel
(`compose_kernel`); what they are and how they move is drawn by lot (`compose_looks`,
`compose_motion`).

Coordinates: a crop spans -1..1; an object's own coordinates span -1..1 as its shape does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from compose_banks import SHAPE_SIDE, FrameBank, ShapeBank
from compose_dice import LAYERS, TARGET, Dice
from compose_kernel import FRAME_SIZE, LAYER_SIZE, compose_kernel
from compose_looks import Looks
from compose_motion import Motion, absence, jitter, sizes, waves
from torch import Tensor
from torch.nn import functional as F

#: Pictures are given as ``(colour - MEAN) / SPREAD``; beyond the frame lies 0.
MEAN, SPREAD = 0.447, 0.25
#: How likely each layer is there.
PRESENT = (1.0, 0.5, 0.4, 1.0, 0.7, 0.35)
#: How likely it looks like the object (same texture), and then has its shape too.
ALIKE = (0.0, 0.4, 0.3, 0.0, 0.25, 0.2)


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

    def _lots(self) -> tuple[Tensor, Tensor]:
        """What every layer of every frame is: ``(B, T, L, 64)`` and ``(B, T, 16)``."""
        batch, length = self.batch, self.length
        dice = Dice(batch, length, self.device)
        looks = Looks(self.frames, self.shapes, dice, self.side)
        size = sizes(dice)
        gap = torch.where(dice.uniform(batch) < 0.6, 1.0, 1 + (dice.uniform(batch) * 8).floor())
        time = torch.arange(length, device=self.device).float().repeat(batch, 1)
        time = time + (gap - 1)[:, None] * (time > 0)
        motion = Motion.drawn(dice, size, gap)
        shake = jitter(dice)
        inverse = motion.inverse(time, shake)
        shutter = 0.5 * dice.uniform(batch) * (dice.uniform(batch) < 0.4)
        later = motion.inverse(time + shutter[:, None], shake)
        gone, jump = absence(dice)
        for matrix in (inverse, later):
            own = matrix[:, :, TARGET].unflatten(-1, (2, 3))
            own[..., 2] -= (own[..., :2] * jump[..., None, :]).sum(-1)

        out = torch.zeros(batch, length, LAYERS, LAYER_SIZE, device=self.device)
        out[..., 0:6] = inverse
        out[..., 6:12] = later - inverse
        out[..., 12:22] = waves(dice, time)
        alike = dice.chance(ALIKE)
        out[..., 22] = looks.shape_numbers(alike, time)
        scale = size[:, None] * torch.exp(motion.zoom[:, None] * time[..., None])
        ramp = 0.7 + 1.5 * dice.uniform(batch, 1, LAYERS)
        out[..., 23] = (scale * self.side / 128 / 0.33 / ramp).clamp(1, 40)
        out[..., 24] = dice.chance(PRESENT).float()[:, None]
        out[:, :, TARGET, 24] *= 1 - gone
        looks.fill(out, size, alike, time)
        return out, looks.frame_numbers(shutter, time)
