"""How the layers of a composed clip lie, move and bend, and when the object is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from compose_dice import LAYERS, TARGET, Dice, constant
from torch import Tensor

#: How likely the object is gone for a while, with nothing that hides it.
GOES_AWAY = 0.15


def sizes(dice: Dice) -> Tensor:
    """Half the extent of each layer ``(B, L)``; the background's is 1."""
    few = dice.uniform(dice.batch) < 0.2
    own = torch.where(
        few,
        torch.exp(math.log(0.1) + dice.uniform(dice.batch) * math.log(0.35 / 0.1)),
        torch.exp(math.log(0.4) + dice.uniform(dice.batch) * math.log(1.2 / 0.4)),
    )
    size = own[:, None] * torch.exp(0.5 * dice.normal(dice.batch, LAYERS))
    usual = constant((1.0, 0.8, 0.8, 1.0, 1.8, 1.2), dice.device)
    size = (size * usual).clamp(0.07, 3.0)
    size[:, TARGET] = own
    size[:, 0] = 1
    return size


def absence(dice: Dice) -> tuple[Tensor, Tensor]:
    """When the object is simply not there, 0 or 1 ``(B, T)``, and where it is back: a shift.

    Something did hide it, or it left the crop; the shift is ``(B, T, 2)``.
    """
    frame = torch.arange(dice.length, device=dice.device)[None]
    first = 1 + (dice.uniform(dice.batch, 1) * (dice.length - 1)).floor()
    end = first + 1 + (3 * dice.uniform(dice.batch, 1)).floor()
    is_so = dice.uniform(dice.batch, 1) < GOES_AWAY
    gone = is_so & (frame >= first) & (frame < end)
    back = (is_so & (frame >= end)).float()
    return gone.float(), back[..., None] * 0.25 * dice.normal(dice.batch, 1, 2)


def jitter(dice: Dice) -> Tensor:
    """How the crop itself moves ``(B, T, 3)``: scale, dx, dy."""
    much = torch.where(dice.uniform(dice.batch, 1) < 0.25, 0.04, 0.008)
    jitter = dice.normal(dice.batch, dice.length, 3) * much[..., None]
    scale = torch.exp(jitter[..., :1])
    return torch.cat([scale, jitter[..., 1:]], -1)


def waves(dice: Dice, time: Tensor) -> Tensor:
    """Two waves that bend each layer, and go on with time ``(B, T, L, 10)``."""
    shape = (dice.batch, 1, LAYERS, 2)
    much = dice.uniform(dice.batch, 1, LAYERS, 1) ** 2
    wave = 2.5 * dice.normal(*shape, 2)
    phase = 6.3 * dice.uniform(*shape) + 0.5 * dice.normal(*shape) * time[..., None, None]
    # The steeper the wave, the lower: nothing folds over.
    height = (
        0.25
        * much[..., None]
        * dice.normal(*shape, 2)
        / wave.norm(dim=-1, keepdim=True).clamp(min=1.5)
    )
    height[:, :, 0] *= 0.3
    full = (dice.batch, dice.length, LAYERS, 2)
    parts = [wave.expand(*full, 2), phase.expand(full)[..., None], height.expand(*full, 2)]
    return torch.cat(parts, -1).flatten(-2)


@dataclass(frozen=True)
class Motion:
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
    def drawn(cls, dice: Dice, size: Tensor, gap: Tensor) -> Motion:
        batch = dice.batch
        normal, uniform = dice.normal, dice.uniform

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
        meeting = (0.6 + uniform(batch, LAYERS) * (dice.length - 0.6)) + (gap - 1)[:, None]
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
        is_behind = (torch.arange(LAYERS, device=dice.device) < TARGET)[:, None]
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
