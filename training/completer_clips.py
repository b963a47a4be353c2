"""Composed clips made on the card: an object, what hides it, what passes behind it, a camera.

A batch holds what the completer sees of each clip (see `completer_net`) and the exact truth, in
windows that follow the object about as well as the engine's own do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from completer_shapes import CELLS, draw_shapes, log_uniform, uniform
from torch import Tensor

HEIGHT, WIDTH = 180, 320
#: Cells along each side of a window, and of the coarser one for evidence from other frames.
WINDOW, COARSE = 128, 64
#: Colour difference (of 1) at which two views hardly match any more.
TOLERANCE = 0.08


@dataclass(frozen=True)
class Footage:
    """What clips are composed from, on the device; see `completer_data`."""

    frames: Tensor  # uint8 (F, 3, 180, 320)
    videos: Tensor  # (V, 2): where each video begins and ends
    cameras: Tensor  # (F, 3, 3): background of the video's first frame to each frame
    shapes: Tensor  # int8 (S, 96, 96)
    runs: Tensor  # (N, 2)

    @classmethod
    def load(cls, path: Path, device: torch.device, most: int | None = None) -> Footage:
        stored = np.load(path)
        ends, packed = stored["picture_ends"], stored["pictures"]
        videos = stored["video_spans"]
        if most:
            videos = videos[:most]
        starts = np.concatenate([[0], ends[:-1]])
        frames = [
            cv2.imdecode(packed[a:b], cv2.IMREAD_COLOR)[..., ::-1]
            for a, b in zip(starts[: videos[-1, 1]], ends, strict=False)
        ]
        cameras = np.empty((len(frames), 3, 3))
        for first, end in videos:
            path_so_far = np.eye(3)
            for frame in range(first, end):
                cameras[frame] = path_so_far
                path_so_far = stored["cameras"][frame].astype(float) @ path_so_far
                path_so_far /= path_so_far[2, 2]
        return cls(
            torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous().to(device),
            torch.from_numpy(videos.astype(np.int64)).to(device),
            torch.from_numpy(cameras).to(device),
            torch.from_numpy(stored["shapes"]).to(device),
            torch.from_numpy(stored["shape_spans"].astype(np.int64)).to(device),
        )


@dataclass(frozen=True)
class Batch:
    """Clips in windows.

    Attributes
    ----------
    fine : Tensor
        ``(B, T, 11, 128, 128)``, see `windows_of`.
    coarse : Tensor
        ``(B, T, 8, 64, 64)``, see `evidence_of`.
    times : Tensor
        ``(B, T)``, frames.
    amodal, hider, inside : Tensor
        Truth ``(B, T, 128, 128)``: the whole object, what is in front of it, and the frame itself.
    amount : Tensor
        True hidden share of what lies in the frame, ``(B, T)``; -1 where nothing does.
    """

    fine: Tensor
    coarse: Tensor
    times: Tensor
    amodal: Tensor
    hider: Tensor
    inside: Tensor
    amount: Tensor


@dataclass(frozen=True)
class _Pose:
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


@dataclass(frozen=True)
class _Layer:
    distance: Tensor  # (B, T, 96, 96), local units
    pose: _Pose
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


def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Centres of pixels as x, y, ``(h, w, 2)``; the first is at 0, as in OpenCV."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1)


def through(transform: Tensor, points: Tensor) -> Tensor:
    """Points ``(B, ..., 2)`` through transforms ``(B, 3, 3)``."""
    shape = points.shape
    flat = points.reshape(len(points), -1, 2)
    moved = flat @ transform[:, :2, :2].transpose(1, 2) + transform[:, None, :2, 2]
    deep = flat @ transform[:, 2, :2, None] + transform[:, 2, 2, None, None]
    deep = torch.where(deep.abs() < 1e-3, torch.full_like(deep, 1e-3), deep)
    return (moved / deep).reshape(shape)


def sample(image: Tensor, points: Tensor, padding: str = "zeros") -> Tensor:
    """Image ``(N, C, h, w)`` at points ``(N, ..., 2)`` in its pixels: ``(N, C, ...)``."""
    height, width = image.shape[-2:]
    size = torch.tensor([width, height], device=image.device, dtype=torch.float32)
    grid = (points + 0.5) * (2 / size) - 1
    flat = grid.reshape(len(points), -1, points.shape[-2], 2)
    found = F.grid_sample(image, flat, padding_mode=padding, align_corners=False)
    return found.reshape(len(points), image.shape[1], *points.shape[1:-1])


def compose(footage: Footage, batch: int, count: int) -> Batch:
    """A batch of `count` frames each."""
    device = footage.frames.device
    times = _times(batch, count, device)
    camera, background = _background(footage, times)
    layers = _seen_once(_layers(footage, times, camera))
    points = pixel_grid(HEIGHT, WIDTH, device).expand(batch, count, -1, -1, -1)

    picture = background
    bare, seen = None, None
    for number, layer in enumerate(layers):
        local = layer.pose.local(points)
        cover = layer.alpha(points, local)
        filling = _filling(footage, layer, local, times)
        picture = picture + cover[:, :, None] * (filling - picture)
        if number == _OBJECT:
            bare = seen = cover
        elif seen is not None:
            seen = seen * (1 - cover)
    assert bare is not None and seen is not None
    picture = _noisy(picture)
    seen = (seen > 0.5).float()
    whole = (bare > 0.5).float().sum((2, 3))
    amount = torch.where(
        whole > 12, 1 - seen.sum((2, 3)) / whole.clamp(min=1), -torch.ones_like(whole)
    )

    clear = _clear(amount)
    given, confidence = _given(seen, clear)
    window = _windows(layers[_OBJECT], amount)
    fine, inside, spots = windows_of(picture, given, window)
    coarse = evidence_of(picture, given, window, camera, confidence, clear)
    amodal = (layers[_OBJECT].alpha(spots) > 0.5).float()
    front = torch.stack([layer.alpha(spots) for layer in layers[_OBJECT + 1 :]]).amax(0)
    return Batch(fine, coarse, times, amodal, (front > 0.5).float(), inside, amount)


def mirrored(batch: Batch) -> Batch:
    """The same clips, the whole batch turned left to right or backwards in time or both."""
    flip, back = (bool(value) for value in torch.rand(2) < 0.5)
    fine, coarse, times = batch.fine, batch.coarse, batch.times
    if back:
        # what was before is after: channels 5 and 6, 9 and 10 of fine, 3 and 4 of coarse
        fine = fine[:, :, [0, 1, 2, 3, 4, 6, 5, 7, 8, 10, 9]].flip(1)
        coarse = coarse[:, :, [0, 1, 2, 4, 3, 5, 6, 7]].flip(1)
        times = times[:, -1:] - times.flip(1)
    moved = [fine, coarse, batch.amodal, batch.hider, batch.inside]
    if back:
        moved[2:] = [values.flip(1) for values in moved[2:]]
    if flip:
        moved = [values.flip(-1) for values in moved]
    amount = batch.amount.flip(1) if back else batch.amount
    return Batch(moved[0], moved[1], times, moved[2], moved[3], moved[4], amount)


# ---------------------------------------------------------------- what the clips show


def _times(batch: int, count: int, device: torch.device) -> Tensor:
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


def _background(footage: Footage, times: Tensor) -> tuple[Tensor, Tensor]:
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


#: Which of the layers is the object; what comes before lies behind it.
_OBJECT = 1
#: Chances of the kinds of shape: things behind, the object, and two in front.
_CHANCES = (
    (5.0, 2.0, 1.0, 2.0, 0.5, 0.5),
    (6.0, 2.0, 0.7, 0.8, 0.0, 0.0),
    (3.5, 1.5, 1.0, 1.0, 1.0, 2.0),
    (3.0, 1.5, 1.5, 1.5, 0.7, 1.3),
)
#: How often a layer is there at all.
_THERE = (0.5, 1.0, 0.9, 0.4)


def _layers(footage: Footage, times: Tensor, camera: Tensor) -> list[_Layer]:
    device = times.device
    batch = len(times)
    poses: dict[int, _Pose] = {}
    size = log_uniform((batch,), 20, 95, device)
    poses[_OBJECT] = _object_pose(times, camera, size)
    layers = []
    for number, there in enumerate(_THERE):
        if number != _OBJECT:
            poses[number] = _passing_pose(times, camera, poses[_OBJECT], size, number)
        chances = torch.tensor(_CHANCES[number], device=device).expand(batch, -1)
        distance, _ = draw_shapes(footage.shapes, footage.runs, times, chances)
        soft = uniform((batch,), 0.7, 2.0, device)
        shown = torch.rand(batch, device=device) < there
        layers.append(_Layer(distance, poses[number], soft, shown))
    return layers


def _seen_once(layers: list[_Layer]) -> list[_Layer]:
    """The same layers, but nothing in front in most clips that never show the object (nearly)
    whole: little can be learned from them."""
    whole = layers[_OBJECT]
    batch, count = whole.distance.shape[:2]
    device = whole.distance.device
    points = 4 * pixel_grid(HEIGHT // 4, WIDTH // 4, device).expand(batch, count, -1, -1, -1) + 1.5
    bare = (whole.alpha(points) > 0.5).float()
    seen = bare
    for layer in layers[_OBJECT + 1 :]:
        seen = seen * (layer.alpha(points) < 0.5)
    share = seen.sum((2, 3)) / bare.sum((2, 3)).clamp(min=4)
    keep = (share.amax(1) > 0.9) | (torch.rand(batch, device=device) < 0.12)
    return [
        replace(layer, there=layer.there & keep) if number > _OBJECT else layer
        for number, layer in enumerate(layers)
    ]


def _pose_along(times: Tensor, path: Tensor, size: Tensor, tilted: float, growing: float) -> _Pose:
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
    return _Pose(path, scale, turn + rate * times, stretch)


def _object_pose(times: Tensor, camera: Tensor, size: Tensor) -> _Pose:
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


def _passing_pose(times: Tensor, camera: Tensor, whole: _Pose, size: Tensor, number: int) -> _Pose:
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


def _filling(footage: Footage, layer: _Layer, local: Tensor, times: Tensor) -> Tensor:
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


def _noisy(picture: Tensor) -> Tensor:
    """Light that changes a little from frame to frame, and the camera's noise."""
    batch, count = picture.shape[:2]
    device = picture.device
    light = 1 + torch.randn((batch, count, 1, 1, 1), device=device) * 0.012
    amount = uniform((batch, 1, 1, 1, 1), 0.0, 0.03, device)
    noisy = picture * light + torch.randn_like(picture) * amount
    blurred = F.avg_pool2d(noisy.flatten(0, 1), 3, 1, 1).reshape(noisy.shape)
    soft = (torch.rand((batch, 1, 1, 1, 1), device=device) < 0.3).float() * 0.8
    return (noisy + soft * (blurred - noisy)).clamp(0, 1)


# ---------------------------------------------------------------- what the completer is given


def _clear(amount: Tensor) -> Tensor:
    """The frame of each clip that is known to show the whole object, bool ``(B, T)``: most have
    one, as only some of the chunks of a long clip hold the query."""
    whole = (amount >= 0) & (amount < 0.004)
    told = torch.rand((len(amount), 1), device=amount.device) < 0.7
    pick = (torch.rand_like(amount) * whole).argmax(1)
    found = F.one_hot(pick, amount.shape[1]).bool()
    return found & whole & told


def _given(seen: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
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


def _windows(layer: _Layer, amount: Tensor) -> Tensor:
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
