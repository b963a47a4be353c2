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
    guidance: float = 20.0
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


@torch.no_grad()
def sample(
    diffusion: Diffusion,
    given: Conditions,
    settings: Sampling,
    seed: int,
    on_step: Callable[[], None],
    *,
    captured: bool = True,
) -> Tensor:
    """Sample one video; latents ``(T, 4, h, w)``.

    Parameters
    ----------
    seed : int
        The same seed on the same device gives the same video.
    on_step : callable
        Called after each step; what it raises ends the sampling.
    captured : bool
        On a CUDA device, capture a step as a graph: faster, but its memory is held to the end.
    """
    generator = torch.Generator(diffusion.device).manual_seed(seed)
    scheduler = settings.solver.scheduler()
    scheduler.set_timesteps(settings.steps, device=diffusion.device)
    latents = torch.randn(
        given.masked.shape, generator=generator, device=diffusion.device, dtype=torch.float32
    )
    predict = _predictor(diffusion, given, settings.guidance, captured=captured)
    for time in scheduler.timesteps:
        noise = predict(scheduler.scale_model_input(latents, time), time)
        latents = scheduler.step(noise, time, latents).prev_sample
        if latents.is_cuda:
            torch.cuda.current_stream(latents.device).synchronize()
        on_step()
    return latents[0].transpose(0, 1)


def _predictor(
    diffusion: Diffusion, given: Conditions, guidance: float, *, captured: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Guided noise of latents at a time: one branch after the other, for memory."""

    def branch(latents: Tensor, time: Tensor, row: int) -> Tensor:
        found = diffusion.unet(
            latents.to(diffusion.dtype), given.mask, given.masked, time, given.text[row : row + 1]
        )
        return found.float()

    def predict(latents: Tensor, time: Tensor) -> Tensor:
        with_prompt, without = branch(latents, time, 0), branch(latents, time, 1)
        return without + guidance * (with_prompt - without)

    if not (captured and latents_on_card(given)):
        return predict
    return _captured(predict, given)


def latents_on_card(given: Conditions) -> bool:
    return given.masked.is_cuda


def _captured(
    predict: Callable[[Tensor, Tensor], Tensor], given: Conditions
) -> Callable[[Tensor, Tensor], Tensor]:
    """The prediction as a CUDA graph: one branch alone does not keep the card busy otherwise."""
    latents = torch.zeros_like(given.masked, dtype=torch.float32)
    time = torch.zeros((), dtype=torch.long, device=latents.device)
    side = torch.cuda.Stream(latents.device)
    side.wait_stream(torch.cuda.current_stream(latents.device))
    with torch.cuda.stream(side):
        predict(latents, time)
    torch.cuda.current_stream(latents.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        noise = predict(latents, time)

    def replay(new_latents: Tensor, new_time: Tensor) -> Tensor:
        latents.copy_(new_latents)
        time.copy_(new_time)
        graph.replay()
        return noise

    return replay


def composed(
    generated: NDArray[np.uint8], frames: CanvasFrames, whole: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The generated video, with the real object on white in the frames where nothing is hidden."""
    return np.where(whole[:, None, None, None], frames.pixels, generated)


def _video(frames: Tensor) -> Tensor:
    """Frames ``(T, C, h, w)`` as a video ``(1, C, T, h, w)``."""
    return frames.transpose(0, 1).unsqueeze(0)
