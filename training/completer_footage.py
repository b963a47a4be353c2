"""What clips are composed from, and pictures looked up at points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HEIGHT, WIDTH = 180, 320


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
