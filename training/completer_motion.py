"""How camera, object and what passes it move through a composed clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from completer_footage import HEIGHT, WIDTH, Footage, pixel_grid, sample, through
from completer_shapes import log_uniform, uniform
from torch import Tensor


def frame_times(batch: int, count: int, device: torch.device) -> Tensor:
    """Frames of a clip, one in every one to four, now and then with a longer gap."""
    step = torch.tensor([1.0, 1.0, 2.0, 3.0, 4.0], device=device)
    step = step[torch.randint(len(step), (batch, 1), device=device)].expand(-1, count).clone()
    gaps = torch.rand((batch, count), device=device) < 0.04
    step[gaps] += torch.randint(1, 12, (int(gaps.sum()),), device=device).float()
    return torch.cumsum(step, 1) - step[:, :1]


def _drift(times: Tensor, speed: Tensor, sway: float) -> Tensor:
    """A smooth path ``(B, T, 2)`` that is 0 at time 0: even motion and a slow sway."""
    batch, device = len(times), times.device
    way = uniform((batch, 1), 0, 2 * math.pi, device)
    step = torch.stack([speed[:, None] * torch.cos(way), 0.4 * speed[:, None] * torch.sin(way)], -1)
    path = step * times[..., None]
    for _ in range(2):
        size = torch.randn((batch, 1, 2), device=device) * sway
        pace = uniform((batch, 1, 2), 0.03, 0.5, device)
        phase = uniform((batch, 1, 2), 0, 2 * math.pi, device)
        path = path + size * (torch.sin(pace * times[..., None] + phase) - torch.sin(phase))
    return path


def background(footage: Footage, times: Tensor) -> tuple[Tensor, Tensor]:
    """The camera ``(B, T, 3, 3)``, from the first frame's background to each frame, and pictures.

    Half of the clips are stretches of real footage with the camera as the engine measures it, the
    others a still that a camera of ours moves over.
    """
    device = times.device
    batch, count = times.shape
    real = torch.rand(batch, device=device) < 0.5
    videos = footage.videos[torch.randint(len(footage.videos), (batch,), device=device)]
    room = (videos[:, 1] - videos[:, 0] - 1).float() - times[:, -1]
    first = videos[:, 0] + (torch.rand(batch, device=device) * room.clamp(min=0)).long()
    index = torch.minimum(first[:, None] + times.long(), videos[:, 1:] - 1)
    still = torch.randint(len(footage.frames), (batch, 1), device=device).expand(-1, count)
    index = torch.where(real[:, None], index, still)
    measured = footage.cameras[index] @ torch.linalg.inv(footage.cameras[index[:, :1]])

    speed = log_uniform((batch,), 0.05, 4.0, device) * (torch.rand(batch, device=device) < 0.7)
    shift = _drift(times, speed, 1.5)
    zoom = torch.exp(torch.randn((batch, 1), device=device) * 0.004 * times)
    turn = torch.randn((batch, 1), device=device) * 0.002 * times
    ours = _similarity(shift, zoom, turn).double()
    big = uniform((batch,), 0.9, 1.6, device)
    base = torch.eye(3, device=device, dtype=torch.float64).repeat(batch, 1, 1)
    base[:, 0, 0] = base[:, 1, 1] = big.double()
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2], device=device, dtype=torch.float64)
    base[:, :2, 2] = middle * (1 - big[:, None].double())
    laid = torch.linalg.inv(ours @ base[:, None])
    same = torch.eye(3, device=device, dtype=torch.float64).expand(batch, count, 3, 3)
    to_picture = torch.where(real[:, None, None, None], same, laid).float()

    points = pixel_grid(HEIGHT, WIDTH, device)
    points = points.expand(batch * count, -1, -1, -1)
    spots = through(to_picture.reshape(-1, 3, 3), points)
    pictures = footage.frames[index.reshape(-1)].float() / 255
    pictures = sample(pictures, spots, "reflection").reshape(batch, count, 3, HEIGHT, WIDTH)
    camera = torch.where(real[:, None, None, None], measured, ours)
    return camera.float(), pictures


def _similarity(shift: Tensor, zoom: Tensor, turn: Tensor) -> Tensor:
    """Zoom and turn about the middle of the frame, then shift: ``(B, T, 3, 3)``."""
    found = torch.zeros((*zoom.shape, 3, 3), device=zoom.device)
    cos, sin = zoom * torch.cos(turn), zoom * torch.sin(turn)
    found[..., 0, 0] = found[..., 1, 1] = cos
    found[..., 0, 1], found[..., 1, 0] = -sin, sin
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2], device=zoom.device)
    turned = torch.stack([cos * middle[0] - sin * middle[1], sin * middle[0] + cos * middle[1]], -1)
    found[..., :2, 2] = shift + middle - turned
    found[..., 2, 2] = 1
    return found


@dataclass(frozen=True)
class Pose:
    """Where a layer's local grid lies: centre ``(B, T, 2)``, pixels a local unit ``(B, T)``, turn
    ``(B, T)`` and stretch in x and y ``(B, 2)``."""

    centre: Tensor
    scale: Tensor
    turn: Tensor
    stretch: Tensor

    def local(self, points: Tensor) -> Tensor:
        """Points ``(B, T, h, w, 2)`` in pixels, in the layer's own grid."""
        away = points - self.centre[:, :, None, None]
        cos, sin = torch.cos(self.turn), torch.sin(self.turn)
        x, y = away[..., 0], away[..., 1]
        cos, sin = cos[..., None, None], sin[..., None, None]
        size = (self.scale[..., None] * self.stretch[:, None])[:, :, None, None]
        return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1) / size


def _pose_along(times: Tensor, path: Tensor, size: Tensor, tilted: float, growing: float) -> Pose:
    """A pose on a path, with growth, turn and stretch of its own."""
    device = times.device
    batch = len(times)
    middle = times[:, times.shape[1] // 2, None]
    growth = torch.randn((batch, 1), device=device) * growing
    scale = size[:, None] * torch.exp((growth * (times - middle)).clamp(-0.8, 0.8))
    much = (torch.rand((batch, 1), device=device) < tilted).float()
    turn = torch.randn((batch, 1), device=device) * (0.06 + 0.8 * much)
    rate = torch.randn((batch, 1), device=device) * (0.002 + 0.02 * much)
    stretch = torch.exp(torch.randn((batch, 2), device=device) * 0.15).clamp(0.6, 1.6)
    return Pose(path, scale, turn + rate * times, stretch)


def object_pose(times: Tensor, camera: Tensor, size: Tensor) -> Pose:
    """The object is somewhere in the frame at one time; some go along with the background."""
    device = times.device
    batch, count = times.shape
    rows = torch.arange(batch, device=device)
    when = torch.randint(count, (batch,), device=device)
    where = torch.stack(
        [
            uniform((batch,), 0.12, 0.88, device) * WIDTH,
            uniform((batch,), 0.2, 0.8, device) * HEIGHT,
        ],
        dim=-1,
    )
    moving = torch.rand(batch, device=device) < 0.8
    drift = _drift(times, log_uniform((batch,), 0.1, 5.0, device) * moving, 1.2)
    held = torch.rand(batch, device=device) < 0.4
    path = _placed(times, camera, where, rows, when, held) + drift - drift[rows, when][:, None]
    return _pose_along(times, path, size, 0.12, 0.008)


def _placed(
    times: Tensor, camera: Tensor, where: Tensor, rows: Tensor, when: Tensor, held: Tensor
) -> Tensor:
    """A point's path ``(B, T, 2)``: it is at `where` at frame `when`, and from there on stays with
    the background if `held`, with the frame if not."""
    batch, count = times.shape
    back = through(torch.linalg.inv(camera[rows, when]), where[:, None])
    carried = through(
        camera.reshape(-1, 3, 3), back[:, None].expand(-1, count, -1, -1).reshape(-1, 1, 2)
    ).reshape(batch, count, 2)
    reach = 2.0 * WIDTH
    carried = torch.nan_to_num(carried).clamp(-reach, 2 * reach)
    return torch.where(held[:, None, None], carried, where[:, None].expand(-1, count, -1))


def passing_pose(times: Tensor, camera: Tensor, whole: Pose, size: Tensor, number: int) -> Pose:
    """Something that meets the object at one time: at rest on the background, or moving."""
    device = times.device
    batch, count = times.shape
    rows = torch.arange(batch, device=device)
    when = torch.randint(count, (batch,), device=device)
    near = torch.randn((batch, 2), device=device) * 0.4 * size[:, None]
    where = whole.centre[rows, when] + near
    chance = torch.rand(batch, device=device)
    resting = chance < 0.45
    # the others move on their own, some of them slowly beside the object
    beside = chance > 0.88
    speed = log_uniform((batch,), 0.3, 7.0, device) * ~resting
    drift = _drift(times, torch.where(beside, 0.25 * speed, speed), 1.0)
    drift = drift * (~resting)[:, None, None]
    path = _placed(times, camera, where, rows, when, resting | (chance < 0.7))
    along = whole.centre - whole.centre[rows, when][:, None] + where[:, None]
    path = torch.where(beside[:, None, None], along, path)
    path = path + drift - drift[rows, when][:, None]
    own = size * log_uniform((batch,), 0.4, 3.2, device)
    return _pose_along(times, path, own, 0.12, 0.005)
