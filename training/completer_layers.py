"""The layers of a composed clip: their shapes, what they look like, and the camera's noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from completer_footage import HEIGHT, WIDTH, Footage, pixel_grid, sample
from completer_motion import Pose, object_pose, passing_pose
from completer_shapes import CELLS, draw_shapes, log_uniform, uniform
from torch import Tensor

#: Which of the layers is the object; what comes before lies behind it.
OBJECT = 1
#: Chances of the kinds of shape: things behind, the object, and two in front.
_CHANCES = (
    (5.0, 2.0, 1.0, 2.0, 0.5, 0.5),
    (6.0, 2.0, 0.7, 0.8, 0.0, 0.0),
    (3.5, 1.5, 1.0, 1.0, 1.0, 2.0),
    (3.0, 1.5, 1.5, 1.5, 0.7, 1.3),
)
#: How often a layer is there at all.
_THERE = (0.5, 1.0, 0.9, 0.4)


@dataclass(frozen=True)
class Layer:
    distance: Tensor  # (B, T, 96, 96), local units
    pose: Pose
    soft: Tensor  # (B,), pixels over which its edge fades
    there: Tensor  # (B,) bool

    def alpha(self, points: Tensor, local: Tensor | None = None) -> Tensor:
        """Cover 0..1 at points ``(B, T, h, w, 2)`` in pixels."""
        local = self.pose.local(points) if local is None else local
        batch, count, height, width, _ = local.shape
        found = F.grid_sample(
            self.distance.reshape(batch * count, 1, CELLS, CELLS),
            local.reshape(batch * count, height, width, 2),
            padding_mode="border",
            align_corners=False,
        ).reshape(batch, count, height, width)
        pixels = (
            found * (self.pose.scale * self.pose.stretch.min(1).values[:, None])[..., None, None]
        )
        cover = (pixels / self.soft[:, None, None, None] + 0.5).clamp(0, 1)
        return cover * self.there[:, None, None, None]


def drawn_layers(footage: Footage, times: Tensor, camera: Tensor) -> list[Layer]:
    device = times.device
    batch = len(times)
    poses: dict[int, Pose] = {}
    size = log_uniform((batch,), 20, 95, device)
    poses[OBJECT] = object_pose(times, camera, size)
    layers = []
    for number, there in enumerate(_THERE):
        if number != OBJECT:
            poses[number] = passing_pose(times, camera, poses[OBJECT], size, number)
        chances = torch.tensor(_CHANCES[number], device=device).expand(batch, -1)
        distance, _ = draw_shapes(footage.shapes, footage.runs, times, chances)
        soft = uniform((batch,), 0.7, 2.0, device)
        shown = torch.rand(batch, device=device) < there
        layers.append(Layer(distance, poses[number], soft, shown))
    return layers


def seen_once(layers: list[Layer]) -> list[Layer]:
    """The same layers, but nothing in front in most clips that never show the object (nearly)
    whole: little can be learned from them."""
    whole = layers[OBJECT]
    batch, count = whole.distance.shape[:2]
    device = whole.distance.device
    points = 4 * pixel_grid(HEIGHT // 4, WIDTH // 4, device).expand(batch, count, -1, -1, -1) + 1.5
    bare = (whole.alpha(points) > 0.5).float()
    seen = bare
    for layer in layers[OBJECT + 1 :]:
        seen = seen * (layer.alpha(points) < 0.5)
    share = seen.sum((2, 3)) / bare.sum((2, 3)).clamp(min=4)
    keep = (share.amax(1) > 0.9) | (torch.rand(batch, device=device) < 0.12)
    return [
        replace(layer, there=layer.there & keep) if number > OBJECT else layer
        for number, layer in enumerate(layers)
    ]


def filling_of(footage: Footage, layer: Layer, local: Tensor, times: Tensor) -> Tensor:
    """What a layer looks like: a piece of some frame that moves with it."""
    device = times.device
    batch, count, height, width, _ = local.shape
    frame = torch.randint(len(footage.frames), (batch,), device=device)
    pictures = footage.frames[frame].float() / 255
    dense = layer.pose.scale.mean(1) * log_uniform((batch,), 0.4, 1.6, device)
    middle = torch.stack(
        [uniform((batch,), 0, WIDTH, device), uniform((batch,), 0, HEIGHT, device)], dim=-1
    )
    spots = local.reshape(batch, count * height, width, 2) * dense[:, None, None, None]
    found = sample(pictures, spots + middle[:, None, None], "reflection")
    found = found.reshape(batch, 3, count, height, width).transpose(1, 2)
    plain = torch.rand((batch, 1, 3, 1, 1), device=device)
    mix = torch.rand((batch, 1, 1, 1, 1), device=device) ** 2 * 0.85
    gain = uniform((batch, 1, 1, 1, 1), 0.7, 1.3, device)
    tint = uniform((batch, 1, 3, 1, 1), 0.88, 1.12, device)
    coloured = (found * gain * tint).clamp(0, 1)
    return coloured + mix * (plain - coloured)


def noisy(picture: Tensor) -> Tensor:
    """Light that changes a little from frame to frame, and the camera's noise."""
    batch, count = picture.shape[:2]
    device = picture.device
    light = 1 + torch.randn((batch, count, 1, 1, 1), device=device) * 0.012
    amount = uniform((batch, 1, 1, 1, 1), 0.0, 0.03, device)
    noisy = picture * light + torch.randn_like(picture) * amount
    blurred = F.avg_pool2d(noisy.flatten(0, 1), 3, 1, 1).reshape(noisy.shape)
    soft = (torch.rand((batch, 1, 1, 1, 1), device=device) < 0.3).float() * 0.8
    return (noisy + soft * (blurred - noisy)).clamp(0, 1)
