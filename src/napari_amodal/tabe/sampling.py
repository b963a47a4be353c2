"""Generating the whole object in a chunk of frames (TABE; reference page, section 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_amodal.tabe.canvas import CanvasFrames
from napari_amodal.tabe.diffusion import LATENT_STRIDE, Diffusion, as_pictures
from napari_amodal.tabe.noise import Solver


@dataclass(frozen=True)
class Sampling:
    """How a video is sampled; the defaults are the published ones."""

    steps: int = 50
    solver: Solver = Solver.DDIM


@dataclass(frozen=True)
class Conditions:
    """What does not change while a chunk is sampled.

    Attributes
    ----------
    mask : Tensor
        ``(1, 1, T, h, w)``: 1 where the video is generated.
    masked : Tensor
        Latents of what is given, ``(1, 4, T, h, w)``.
    text : Tensor
        Embeddings of prompt and negative prompt, ``(2, L, D)``.
    """

    mask: Tensor
    masked: Tensor
    text: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.mask, self.masked, self.text

    def copied(self) -> Conditions:
        return Conditions(*(tensor.clone() for tensor in self.tensors))


@torch.no_grad()
def conditions_of(diffusion: Diffusion, frames: CanvasFrames, seed: int) -> Conditions:
    """Encode what the model is given of a chunk."""
    generator = torch.Generator(diffusion.device).manual_seed(seed)
    hidden = torch.from_numpy(frames.hidden[:, None]).to(diffusion.device, torch.float32)
    pictures = as_pictures(frames.pixels, diffusion.device) * (hidden < 0.5)
    size = tuple(side // LATENT_STRIDE for side in hidden.shape[2:])
    mask = F.interpolate(hidden, size=size).to(diffusion.dtype)
    masked = diffusion.encode(pictures, generator)
    return Conditions(_video(mask), _video(masked), diffusion.text())


class NoisePredictor:
    """Guided noise of latents at a time, from two branches: with the prompt and without.

    On a CUDA device the step is captured as a graph, which serves all videos of a size; the two
    branches lie side by side in it, so that the small kernels of one leave nothing idle. Otherwise
    they come one after the other, for memory.

    Parameters
    ----------
    diffusion : Diffusion
    guidance : float
    captured : bool
        Capture on a CUDA device: faster, but the graph holds its memory.
    """

    def __init__(self, diffusion: Diffusion, guidance: float, *, captured: bool = True) -> None:
        self.diffusion = diffusion
        self._guidance = guidance
        self._captures = captured and diffusion.device.type == "cuda"
        self._given: Conditions | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def captures_for(self, given: Conditions) -> bool:
        """Whether the first step for what is given would be captured anew."""
        held = self._given
        return self._captures and (held is None or held.masked.shape != given.masked.shape)

    def show(self, given: Conditions) -> None:
        """Say what the noise is predicted for from now on."""
        held = self._given
        if held is None or not self._captures or self.captures_for(given):
            self._given, self._graph = given.copied(), None
            return
        for buffer, new in zip(held.tensors, given.tensors, strict=True):
            buffer.copy_(new)

    def __call__(self, latents: Tensor, time: Tensor) -> Tensor:
        """Noise of latents ``(1, 4, T, h, w)``, float32; valid until the next call."""
        assert self._given is not None, "show() comes first"
        if not self._captures:
            return self._predict(self._given, latents, time)
        if self._graph is None:
            self._capture(self._given)
        assert self._graph is not None
        self._latents.copy_(latents)
        self._time.copy_(time)
        self._graph.replay()
        return self._noise

    def _predict(self, given: Conditions, latents: Tensor, time: Tensor) -> Tensor:
        return self._guided(*(self._branch(given, latents, time, row) for row in (0, 1)))

    def _predict_in_parallel(self, given: Conditions, latents: Tensor, time: Tensor) -> Tensor:
        here, other = torch.cuda.current_stream(latents.device), torch.cuda.Stream(latents.device)
        other.wait_stream(here)
        with torch.cuda.stream(other):
            without = self._branch(given, latents, time, 1)
        with_prompt = self._branch(given, latents, time, 0)
        here.wait_stream(other)
        return self._guided(with_prompt, without)

    def _guided(self, with_prompt: Tensor, without: Tensor) -> Tensor:
        return without + self._guidance * (with_prompt - without)

    def _branch(self, given: Conditions, latents: Tensor, time: Tensor, row: int) -> Tensor:
        noisy, text = latents.to(self.diffusion.dtype), given.text[row : row + 1]
        found: Tensor = self.diffusion.unet(noisy, given.mask, given.masked, time, text)
        return found.float()

    def _capture(self, given: Conditions) -> None:
        self._latents = torch.zeros_like(given.masked, dtype=torch.float32)
        device = self._latents.device
        self._time = torch.zeros((), dtype=torch.long, device=device)
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            self._predict(given, self._latents, self._time)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._noise = self._predict_in_parallel(given, self._latents, self._time)


@torch.no_grad()
def sample(
    predict: NoisePredictor,
    given: Conditions,
    settings: Sampling,
    seed: int,
    on_step: Callable[[], None],
) -> Tensor:
    """Sample one video; latents ``(T, 4, h, w)``.

    Parameters
    ----------
    seed : int
        The same seed on the same device gives the same video.
    on_step : callable
        Called after each step; what it raises ends the sampling.
    """
    device = given.masked.device
    generator = torch.Generator(device).manual_seed(seed)
    scheduler = settings.solver.scheduler()
    scheduler.set_timesteps(settings.steps, device=device)
    latents = torch.randn(
        given.masked.shape, generator=generator, device=device, dtype=torch.float32
    )
    predict.show(given)
    for time in scheduler.timesteps:
        noise = predict(scheduler.scale_model_input(latents, time), time)
        latents = scheduler.step(noise, time, latents).prev_sample
        if latents.is_cuda:
            torch.cuda.current_stream(device).synchronize()
        on_step()
    return latents[0].transpose(0, 1)


def composed(
    generated: NDArray[np.uint8], frames: CanvasFrames, whole: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The generated video, with the real object on white in the frames where nothing is hidden."""
    return np.where(whole[:, None, None, None], frames.pixels, generated)


def _video(frames: Tensor) -> Tensor:
    """Frames ``(T, C, h, w)`` as a video ``(1, C, T, h, w)``."""
    return frames.transpose(0, 1).unsqueeze(0)
