"""Monocular depth by Depth Anything V2 (arXiv 2406.09414; reference page, section 2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DepthAnythingForDepthEstimation

from napari_amodal.clip import Clip, Frame
from napari_amodal.progress import Watch
from napari_amodal.tabe.card_memory import free_memory, is_out_of_memory, shortage_told
from napari_amodal.tabe.depth_source import DepthMap
from napari_amodal.tabe.pretrained import load_pretrained
from napari_amodal.tabe.read_ahead import read_ahead

#: ImageNet's mean and standard deviation, as the network was trained with.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

#: The shorter side of a frame as the network takes it, and the patches that both are made of.
_SIDE = 518
_MULTIPLE = 14


class DepthModel:
    """Depth Anything V2, loaded once for any number of frames.

    Parameters
    ----------
    folder : Path
        Its weights in transformers' layout.
    device : torch.device
    batch : int
        Frames that go through the network at a time.

    Raises
    ------
    InputError
        The weights cannot be read.

    Notes
    -----
    `maps` raises `InputError` where the device's memory is not enough for one frame.
    """

    def __init__(self, folder: Path, device: torch.device, batch: int = 4) -> None:
        model: Any = load_pretrained(DepthAnythingForDepthEstimation, folder, "Depth Anything")
        self._model = model.to(device)
        self._device = device
        self._batch = batch

    def maps(self, frames: Iterable[Frame]) -> Iterator[DepthMap]:
        """Relative inverse depth of each frame, 0 (farthest) to 255 (nearest).

        The range is each frame's own, as in the published code; a frame without any difference in
        depth is 0 everywhere.

        Parameters
        ----------
        frames : iterable of ndarray
            uint8 ``(H, W, 3)``, all of one size; as many are held at a time as a batch has.

        Yields
        ------
        ndarray
            uint8 ``(H, W)``.
        """
        coming = iter(frames)
        while group := tuple(islice(coming, self._batch)):
            yield from self._maps_of(group)

    def _maps_of(self, group: Sequence[Frame]) -> list[DepthMap]:
        """The maps of a batch; of one frame after the other from then on where memory is short."""
        if self._batch > 1:
            try:
                return self._depth(group)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._batch = 1
            free_memory(self._device)
        with shortage_told("finding the depth", self._device):
            return [depth for frame in group for depth in self._depth([frame])]

    @torch.inference_mode()
    def _depth(self, frames: Sequence[Frame]) -> list[DepthMap]:
        height, width = frames[0].shape[:2]
        pictures = torch.stack([self._picture(frame) for frame in frames])
        # Not bfloat16: its steps are as large as the map's own.
        depth = self._run(pictures, half=self._device.type == "cuda")
        if not depth.isfinite().all():
            depth = self._run(pictures, half=False)
        depth = F.interpolate(depth[:, None], (height, width), mode="bilinear", align_corners=True)[
            :, 0
        ]
        return list(_scaled(depth).cpu().numpy())

    def _run(self, pictures: Tensor, *, half: bool) -> Tensor:
        """The network's answer, float32 ``(B, h, w)``."""
        with torch.autocast(self._device.type, torch.float16, enabled=half):
            depth: Tensor = self._model(pixel_values=pictures).predicted_depth
        return depth.float()

    def _picture(self, frame: Frame) -> Tensor:
        """A frame as the network takes it, float32 ``(3, h, w)``."""
        size = network_size(*frame.shape[:2])
        picture = torch.from_numpy(frame).to(self._device).permute(2, 0, 1)[None].float()
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True)[0].clamp(0, 255)
        mean = torch.tensor(_MEAN, device=self._device).view(3, 1, 1)
        std = torch.tensor(_STD, device=self._device).view(3, 1, 1)
        return (picture / 255 - mean) / std


class DepthNetwork:
    """Depth maps of a clip by the network (a `DepthSource`)."""

    def __init__(self, model: DepthModel) -> None:
        self._model = model

    def maps(self, clip: Clip, watch: Watch) -> Iterator[DepthMap]:
        """See `DepthSource.maps`."""
        return self._model.maps(_watched(clip, watch))


def _watched(clip: Clip, watch: Watch) -> Iterator[Frame]:
    for _, frame in read_ahead(clip, range(len(clip))):
        watch.check()
        yield frame


def network_size(height: int, width: int) -> tuple[int, int]:
    """The size that a frame is resized to: the shorter side 518 pixels, the shape kept.

    As in the published code (`lower_bound` there); each side is rounded to a multiple of 14.
    """
    scale = _SIDE / min(height, width)
    return _rounded(scale * height), _rounded(scale * width)


def _rounded(length: float) -> int:
    return round(length / _MULTIPLE) * _MULTIPLE


def _scaled(depth: Tensor) -> Tensor:
    """Each map ``(B, H, W)`` over its own range, uint8."""
    low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
    spread = torch.where(high > low, high - low, math.inf)
    return ((depth - low) / spread * 255).to(torch.uint8)
