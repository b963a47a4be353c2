"""What the completer is given of a composed clip: masks, windows, and evidence in them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from completer_footage import HEIGHT, WIDTH, sample, through
from completer_layers import Layer
from completer_shapes import CELLS, log_uniform, uniform
from torch import Tensor

#: Cells along each side of a window, and of the coarser one for evidence from other frames.
WINDOW, COARSE = 128, 64
#: Colour difference (of 1) at which two views hardly match any more.
TOLERANCE = 0.08


def clear_frames(amount: Tensor) -> Tensor:
    """The frame of each clip that is known to show the whole object, bool ``(B, T)``: most have
    one, as only some of the chunks of a long clip hold the query."""
    whole = (amount >= 0) & (amount < 0.004)
    told = torch.rand((len(amount), 1), device=amount.device) < 0.7
    pick = (torch.rand_like(amount) * whole).argmax(1)
    found = F.one_hot(pick, amount.shape[1]).bool()
    return found & whole & told


def given_masks(seen: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
    """Visible masks as a tracker finds them, and its confidence; exact in half of the clips."""
    device = seen.device
    batch, count, height, width = seen.shape
    flat = seen.flatten(0, 1)[:, None]
    soft = F.avg_pool2d(flat, 7, 1, 3, count_include_pad=False)

    def noise(rows: int, columns: int) -> Tensor:
        field = torch.randn((batch * count, 1, rows, columns), device=device)
        return F.interpolate(field, (height, width), mode="bilinear", align_corners=False)

    ragged = uniform((batch, 1, 1, 1, 1), 0, 0.35, device).expand(-1, count, -1, -1, -1)
    shaky = log_uniform((batch, count, 1, 1, 1), 0.3, 1.5, device)
    level = (ragged * shaky).flatten(0, 1)
    shift = torch.randn((batch * count, 1, 1, 1), device=device) * 0.12
    found = soft + level * noise(23, 40) + shift * (soft > 0.01) > 0.5
    # parts that are missed, and parts of the surroundings that are taken along
    missed = (noise(8, 14) > 1.4) & (torch.rand((batch * count, 1, 1, 1), device=device) < 0.2)
    around = F.max_pool2d(flat, 13, 1, 6) > 0
    taken = (noise(10, 18) > 1.3) & around
    taken &= torch.rand((batch * count, 1, 1, 1), device=device) < 0.15
    lost = torch.rand((batch * count, 1, 1, 1), device=device) < 0.04
    found = ((found & around & ~missed) | taken) & ~lost
    found = found.reshape(seen.shape).float()
    exact = (torch.rand((batch, 1), device=device) < 0.55) | clear
    found = torch.where(exact[..., None, None], seen, found)
    both = (found * seen).sum((2, 3))
    right = (both + 20) / (found.sum((2, 3)) + seen.sum((2, 3)) - both + 20)
    confidence = (right + torch.randn_like(right) * 0.12).clamp(0.02, 1)
    return found, torch.where(exact, torch.ones_like(confidence), confidence)


def laid_windows(layer: Layer, amount: Tensor) -> Tensor:
    """Windows around the object as the engine might lay them: ``(B, T, 4)``, centre x, y and half
    width, half height in pixels; the less is seen of the object, the worse they fit."""
    device = amount.device
    batch, count = amount.shape
    ever = (layer.distance > 0).any(1)
    line = (torch.arange(CELLS, device=device) + 0.5) * (2 / CELLS) - 1

    def ends(filled: Tensor) -> tuple[Tensor, Tensor]:
        low = torch.where(filled, line, torch.full_like(line, 2.0)).amin(1)
        high = torch.where(filled, line, torch.full_like(line, -2.0)).amax(1)
        return low, high

    (x0, x1), (y0, y1) = ends(ever.any(1)), ends(ever.any(2))
    pose = layer.pose
    middle = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2], -1) * pose.stretch
    half = torch.stack([(x1 - x0) / 2, (y1 - y0) / 2], -1).clamp(min=0.1) * pose.stretch
    cos, sin = torch.cos(pose.turn), torch.sin(pose.turn)
    away = torch.stack(
        [
            cos * middle[:, None, 0] - sin * middle[:, None, 1],
            sin * middle[:, None, 0] + cos * middle[:, None, 1],
        ],
        dim=-1,
    )
    centre = pose.centre + away * pose.scale[..., None]
    flat_cos, flat_sin = cos.mean(1).abs(), sin.mean(1).abs()
    half = torch.stack(
        [
            flat_cos * half[:, 0] + flat_sin * half[:, 1],
            flat_sin * half[:, 0] + flat_cos * half[:, 1],
        ],
        dim=-1,
    )
    half = torch.maximum(half, half.flip(-1) / 2)
    margin = uniform((batch, 1), 1.45, 2.0, device) * torch.exp(
        torch.randn((batch, 2), device=device) * 0.05
    )
    unseen = amount.clamp(0, 1)
    wander = torch.randn((batch, count, 3), device=device)
    for frame in range(1, count):
        wander[:, frame] = 0.85 * wander[:, frame - 1] + 0.53 * wander[:, frame]
    loose = 0.010 + 0.06 * unseen**1.5
    long = half.amax(1)[:, None] * pose.scale
    off = (
        wander[..., :2] * loose[..., None] + torch.randn((batch, 1, 2), device=device) * 0.06
    ) * (2 * long[..., None])
    grown = torch.exp(wander[..., 2] * (0.012 + 0.04 * unseen))
    sides = half[:, None] * margin[:, None] * (pose.scale * grown)[..., None]
    return torch.cat([centre + off, sides.clamp(min=4)], -1)


def window_points(window: Tensor, cells: int) -> Tensor:
    """Pixels at which the cells of windows ``(B, T, 4)`` lie: ``(B, T, cells, cells, 2)``."""
    line = (torch.arange(cells, device=window.device) + 0.5) * (2 / cells) - 1
    x = window[..., 0, None] + window[..., 2, None] * line
    y = window[..., 1, None] + window[..., 3, None] * line
    shape = (*window.shape[:2], cells, cells)
    return torch.stack([x[:, :, None, :].expand(shape), y[:, :, :, None].expand(shape)], dim=-1)


def windows_of(picture: Tensor, given: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fine channels of each window, where the frame lies in it, and the cells' pixels.

    Channels: red, green, blue (less 0.5, 0 beyond the frame); visible mask; frame; visible masks of
    the frame before and after; mean and maximum of all visible masks; difference of colours to the
    frame before and after, all in the same cells.
    """
    batch, count = given.shape[:2]
    spots = window_points(window, WINDOW)
    ones = torch.ones_like(given[:, :, None])
    image = torch.cat([picture - 0.5, given[:, :, None], ones], 2)
    found = sample(image.flatten(0, 1), spots.flatten(0, 1))
    found = found.reshape(batch, count, 5, WINDOW, WINDOW)
    colours, visible, inside = found[:, :, :3], found[:, :, 3], found[:, :, 4]
    seen = visible.mean((2, 3), keepdim=True)
    weight = (seen / seen.amax(1, keepdim=True).clamp(min=1e-4)) ** 2 + 1e-4
    mean = (visible * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    most = visible.amax(1, keepdim=True)
    before, after = _shifted(visible, 1), _shifted(visible, -1)
    change_before = (colours - _shifted(colours, 1)).abs().mean(2) * 2
    change_after = (colours - _shifted(colours, -1)).abs().mean(2) * 2
    channels = [visible, inside, before, after, mean.expand_as(visible), most.expand_as(visible)]
    channels += [change_before, change_after]
    return torch.cat([colours, torch.stack(channels, 2)], 2).half(), inside, spots


def _shifted(values: Tensor, by: int) -> Tensor:
    """Values of the frame before (`by` 1) or after (-1); the first and the last repeat."""
    first, last = values[:, :1], values[:, -1:]
    return torch.cat([first, values[:, :-1]] if by > 0 else [values[:, 1:], last], 1)


def evidence_of(
    picture: Tensor,
    given: Tensor,
    window: Tensor,
    camera: Tensor,
    confidence: Tensor,
    clear: Tensor,
) -> Tensor:
    """What the other frames show at the places of the background that a window shows.

    Channels, 0..1: share of views with the same colour; share of frames with a view; the surest
    view of the same colour beyond a time at which the object covers the place (so it is plain
    background, seen); same colour in the frame before, and after (0.5: no view); share of frames in
    which the object covers the place; confidence of the mask; known to be whole.
    """
    batch, count = given.shape[:2]
    image = torch.cat([picture, given[:, :, None]], 2)
    image = F.avg_pool2d(image.flatten(0, 1), 3, 1, 1, count_include_pad=False)
    image = torch.cat([image, torch.ones_like(image[:, :1])], 1)
    image = image.reshape(batch, count, 5, HEIGHT, WIDTH)
    spots = window_points(window, COARSE)
    here = sample(image.flatten(0, 1), spots.flatten(0, 1)).reshape(batch, count, 5, COARSE, COARSE)
    back = torch.linalg.inv(camera.double())
    views = torch.zeros((batch, count, COARSE, COARSE), device=given.device)
    same, over, beyond = views.clone(), views.clone(), views.clone()
    beside = [torch.full_like(views, 0.5), torch.full_like(views, 0.5)]
    for side, ahead in enumerate((-1, 1)):
        covered = torch.zeros_like(views)
        for away in range(1, count):
            mine = slice(away, count) if ahead < 0 else slice(0, count - away)
            other = slice(0, count - away) if ahead < 0 else slice(away, count)
            move = (camera[:, other].double() @ back[:, mine]).float().reshape(-1, 3, 3)
            there = through(move, spots[:, mine].flatten(0, 1))
            found = sample(image[:, other].flatten(0, 1), there.clamp(-999, 9999))
            found = found.reshape(batch, count - away, 5, COARSE, COARSE)
            frame = found[:, :, 4] > 0.9
            view = (frame & (found[:, :, 3] < 0.06)).float()
            apart = (found[:, :, :3] - here[:, mine, :3]).abs().amax(2)
            match = torch.exp(-((apart / TOLERANCE) ** 2)) * view
            views[:, mine] += view
            same[:, mine] += match
            beyond[:, mine] = torch.maximum(beyond[:, mine], match * covered[:, mine])
            hidden = (frame & (found[:, :, 3] > 0.8)).float()
            over[:, mine] += hidden
            covered[:, mine] = torch.maximum(covered[:, mine], hidden)
            if away == 1:
                beside[side][:, mine] = match + 0.5 * (1 - view)
    others = max(count - 1, 1)
    flat = torch.ones_like(views)
    channels = [
        same / views.clamp(min=1),
        views / others,
        beyond,
        *beside,
        over / others,
        flat * confidence[..., None, None],
        flat * clear.float()[..., None, None],
    ]
    return torch.stack(channels, 2).half()
