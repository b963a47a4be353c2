"""Moving shapes as signed distances on a local grid: silhouettes, limbed, round, boxy, barred."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CELLS = 96
#: Kinds of shape, in the order of the chances given to `draw_shapes`.
KINDS = ("silhouette", "limbed", "round", "boxes", "bars", "wall")


def uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(shape, device=device) * (high - low) + low


def log_uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    return uniform(shape, math.log(low), math.log(high), device).exp()


def local_grid(device: torch.device) -> tuple[Tensor, Tensor]:
    """x and y of the cells' centres, -1..1, each ``(CELLS, CELLS)``."""
    line = (torch.arange(CELLS, device=device) + 0.5) * (2 / CELLS) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def draw_shapes(
    shapes: Tensor, spans: Tensor, times: Tensor, chances: Tensor
) -> tuple[Tensor, Tensor]:
    """Shapes of a random kind each.

    Parameters
    ----------
    shapes, spans : Tensor
        Silhouettes int8 ``(S, 96, 96)`` (eighths of a cell) and where each run begins and ends.
    times : Tensor
        ``(B, T)``, in frames.
    chances : Tensor
        ``(B, 6)`` chances of the `KINDS`.

    Returns
    -------
    distance : Tensor
        ``(B, T, 96, 96)``, signed, positive inside, in local units (the grid spans -1..1).
    kind : Tensor
        ``(B,)``, index into `KINDS`.
    """
    kind = torch.multinomial(chances, 1)[:, 0]
    drawn = torch.stack(
        [
            _silhouettes(shapes, spans, times),
            _limbed(times),
            _round(times),
            _boxes(times),
            _bars(times),
            _wall(times),
        ],
        dim=1,
    )
    flip = torch.rand(len(times), device=times.device) < 0.5
    found = drawn[torch.arange(len(times), device=times.device), kind]
    return torch.where(flip[:, None, None, None], found.flip(-1), found), kind


def _silhouettes(shapes: Tensor, spans: Tensor, times: Tensor) -> Tensor:
    """A run played forwards or backwards, there and back again, at its own or twice its pace."""
    device = times.device
    batch = len(times)
    long = (spans[:, 1] - spans[:, 0]).float()
    run = spans[torch.multinomial(long, batch, replacement=True)]
    count = (run[:, 1] - run[:, 0]).float()[:, None]
    pace = 2.0 ** uniform((batch, 1), -1.0, 1.3, device)
    at = uniform((batch, 1), 0, 1, device) * 2 * (count - 1) + pace * times
    at = (at % (2 * (count - 1)).clamp(min=1)).clamp(min=0)
    at = torch.where(at > count - 1, 2 * (count - 1) - at, at).clamp(min=0)
    low = at.floor().clamp(max=count.max().item())
    low = torch.minimum(low, count - 1)
    high = torch.minimum(low + 1, count - 1)
    share = (at - low)[..., None, None]
    first = shapes[(run[:, :1] + low.long())].float()
    second = shapes[(run[:, :1] + high.long())].float()
    return (first + share * (second - first)) * (2 / CELLS / 8)


def _segment(x: Tensor, y: Tensor, ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> Tensor:
    """Distance of grid points to segments whose ends are ``(B, T, 1, 1)``."""
    dx, dy = bx - ax, by - ay
    along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-6)
    along = along.clamp(0, 1)
    return torch.sqrt((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2 + 1e-8)


def _limbed(times: Tensor) -> Tensor:
    """A body with a head and limbs of two parts that swing."""
    device = times.device
    batch = len(times)
    x, y = local_grid(device)
    at = times[..., None, None]

    def draw(low: float, high: float) -> Tensor:
        return uniform((batch, 1, 1, 1), low, high, device)

    lean, long = draw(-0.5, 0.5), draw(0.05, 0.35)
    lying = (torch.rand((batch, 1, 1, 1), device=device) < 0.5) * (math.pi / 2)
    angle = lean + lying
    ex, ey = long * torch.sin(angle), long * torch.cos(angle)
    distance = draw(0.08, 0.3) - _segment(x, y, -ex, -ey, ex, ey)
    for number in range(6):
        there = torch.rand((batch, 1, 1, 1), device=device) < (0.9 if number < 4 else 0.5)
        root = draw(-1, 1) if number > 3 else torch.full_like(long, 1.0 if number < 2 else -1.0)
        pace, phase = draw(0.05, 0.9), draw(0, 2 * math.pi)
        swing = draw(0.0, 0.9) * torch.sin(pace * at + phase)
        way = draw(-math.pi, math.pi) if number > 3 else draw(-0.7, 0.7) + math.pi * (number > 5)
        bend = draw(0.0, 0.8) * torch.sin(pace * at + phase + draw(0, 2)) + draw(-0.6, 0.6)
        upper, lower, width = draw(0.15, 0.32), draw(0.12, 0.3), draw(0.03, 0.1)
        ax, ay = root * ex, root * ey
        bx, by = ax + upper * torch.sin(way + swing), ay + upper * torch.cos(way + swing)
        cx = bx + lower * torch.sin(way + swing + bend)
        cy = by + lower * torch.cos(way + swing + bend)
        limb = torch.maximum(
            width - _segment(x, y, ax, ay, bx, by), 0.8 * width - _segment(x, y, bx, by, cx, cy)
        )
        distance = torch.maximum(distance, torch.where(there, limb, -torch.ones_like(limb)))
    hx, hy = -ex * 1.3, -ey * 1.3 - draw(0.0, 0.15)
    head = draw(0.05, 0.16) - torch.sqrt((x - hx) ** 2 + (y - hy) ** 2 + 1e-8)
    return torch.maximum(distance, head)


def _round(times: Tensor) -> Tensor:
    """Star-shaped outlines of a few waves, some of them wobbling."""
    device = times.device
    batch = len(times)
    x, y = local_grid(device)
    turn, radius = torch.atan2(y, x), torch.sqrt(x * x + y * y)
    outline = uniform((batch, 1, 1, 1), 0.35, 0.65, device).expand(-1, times.shape[1], -1, -1)
    wobbling = (torch.rand((batch, 1, 1, 1), device=device) < 0.4) * 0.6
    for wave in range(1, 7):
        height = torch.randn((batch, 1, 1, 1), device=device) * 0.12 / wave**0.7
        phase = uniform((batch, 1, 1, 1), 0, 2 * math.pi, device)
        pace = uniform((batch, 1, 1, 1), 0, 0.4, device)
        now = height * (1 + wobbling * torch.sin(pace * times[..., None, None] + phase))
        outline = outline + now * torch.cos(wave * turn + phase)
    return outline.clamp(0.08, 0.88) - radius


def _boxes(times: Tensor) -> Tensor:
    """A few boxes with rounded corners joined: cars, tables, crates."""
    device = times.device
    batch = len(times)
    x, y = local_grid(device)
    distance = torch.full((batch, 1, CELLS, CELLS), -1.0, device=device)
    for number in range(4):
        spread = 0.0 if number == 0 else 0.45
        cx = uniform((batch, 1, 1, 1), -spread, spread, device)
        cy = uniform((batch, 1, 1, 1), -spread, spread, device)
        low = 0.25 if number == 0 else 0.04
        hx = log_uniform((batch, 1, 1, 1), low, 0.7 - 0.3 * (number > 0), device)
        hy = log_uniform((batch, 1, 1, 1), low, 0.7 - 0.3 * (number > 0), device)
        corner = torch.minimum(hx, hy) * uniform((batch, 1, 1, 1), 0, 0.9, device)
        qx, qy = (x - cx).abs() - hx + corner, (y - cy).abs() - hy + corner
        outside = torch.sqrt(qx.clamp(min=0) ** 2 + qy.clamp(min=0) ** 2 + 1e-8)
        box = corner - outside - torch.maximum(qx, qy).clamp(max=0)
        distance = torch.maximum(distance, box)
    return distance.expand(-1, times.shape[1], -1, -1)


def _bars(times: Tensor) -> Tensor:
    """Parallel bars with gaps, some with a rail across: fences, trunks, railings."""
    device = times.device
    batch = len(times)
    x, y = local_grid(device)
    gap = uniform((batch, 1, 1, 1), 0.2, 0.9, device)
    phase = uniform((batch, 1, 1, 1), 0, 1, device)
    thick = gap * uniform((batch, 1, 1, 1), 0.12, 0.5, device)
    bars = thick / 2 - gap * ((x / gap + phase) % 1 - 0.5).abs()
    rail = uniform((batch, 1, 1, 1), 0.02, 0.1, device)
    height = uniform((batch, 1, 1, 1), -0.8, 0.8, device)
    railed = torch.rand((batch, 1, 1, 1), device=device) < 0.4
    rails = torch.where(railed, rail - (y - height).abs(), -torch.ones_like(bars))
    inside = 0.95 - torch.maximum(x.abs(), y.abs())
    distance = torch.minimum(torch.maximum(bars, rails), inside)
    return distance.expand(-1, times.shape[1], -1, -1)


def _wall(times: Tensor) -> Tensor:
    """One upright slab: pillars, walls, doors."""
    device = times.device
    batch = len(times)
    x, y = local_grid(device)
    half = log_uniform((batch, 1, 1, 1), 0.06, 0.6, device)
    foot = uniform((batch, 1, 1, 1), 0.3, 0.95, device)
    distance = torch.minimum(half - x.abs(), torch.minimum(foot - y, 0.95 + y))
    return distance.expand(-1, times.shape[1], -1, -1)
