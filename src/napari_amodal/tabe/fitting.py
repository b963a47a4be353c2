"""Fitting the video model to one clip with LoRA (TABE; reference page, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_amodal.tabe.diffusion import LATENT_STRIDE, Diffusion, as_pictures
from napari_amodal.tabe.fused import FUSED_DEVICES
from napari_amodal.tabe.lora import Adaptation, Dropout
from napari_amodal.tabe.noise import Solver
from napari_amodal.tabe.training_samples import SAMPLE_FRAMES, Sample, TrainingPool, samples

RANK = 8
ALPHA = 16.0
DROPOUT = 0.1
UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")

UNET_RATE = 2e-4
TEXT_RATE = 4e-5
BETAS = (0.9, 0.999)
WEIGHT_DECAY = 0.01
EPSILON = 1e-8
LARGEST_GRADIENT = 1.0

#: Steps run one by one before the step is captured as a CUDA graph (they count as steps).
_WARM_UP = 3


@dataclass(frozen=True)
class _Inputs:
    """A sample on the device, in buffers that a captured step reads again and again."""

    pictures: Tensor
    masks: Tensor
    weights: Tensor
    text_row: Tensor

    @classmethod
    def empty(cls, crop: int, device: torch.device) -> _Inputs:
        shape = (SAMPLE_FRAMES, 1, crop, crop)
        return cls(
            torch.zeros(SAMPLE_FRAMES, 3, crop, crop, device=device),
            torch.zeros(shape, device=device),
            torch.zeros(shape, device=device),
            torch.zeros(1, dtype=torch.long, device=device),
        )

    def fill(self, sample: Sample) -> None:
        device = self.pictures.device
        self.pictures.copy_(as_pictures(sample.pixels, device))
        self.masks.copy_(torch.from_numpy(sample.mask[:, None]), non_blocking=True)
        self.weights.copy_(torch.from_numpy(sample.weight[:, None]), non_blocking=True)
        self.text_row.fill_(int(sample.prompt_dropped))


class Fitting:
    """One fit: the trained matrices, their optimizer, and a step.

    Parameters
    ----------
    diffusion : Diffusion
        Its UNet and text encoder are adapted in place.
    pool : TrainingPool
        What samples are drawn from.
    checkpointing : bool
        Recompute activations in the backward pass: less memory, more time.
    """

    def __init__(
        self, diffusion: Diffusion, pool: TrainingPool, *, checkpointing: bool = False
    ) -> None:
        self.pool = pool
        self.diffusion = diffusion
        unet, text = diffusion.unet, diffusion.text_encoder
        self.dropout = Dropout(DROPOUT, torch.zeros(1, dtype=torch.long, device=diffusion.device))
        self.of_unet = Adaptation(unet, UNET_LAYERS, RANK, ALPHA, self.dropout)
        self.of_text = Adaptation(text, TEXT_LAYERS, RANK, ALPHA, self.dropout)
        unet.checkpointing = checkpointing
        on_card = diffusion.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [self.of_unet.vector], "lr": UNET_RATE},
                {"params": [self.of_text.vector], "lr": TEXT_RATE},
            ],
            betas=BETAS,
            weight_decay=WEIGHT_DECAY,
            eps=EPSILON,
            fused=on_card,
            capturable=on_card,
        )
        self.schedule = Solver.DDIM.scheduler()
        self.inputs = _Inputs.empty(pool.crop, diffusion.device)

    @property
    def trained(self) -> list[nn.Parameter]:
        """What is trained: a vector of the UNet's adaptation, and one of the text encoder's."""
        return [self.of_unet.vector, self.of_text.vector]

    def spread(self) -> None:
        """Hand the layers their matrices as they are now, for use."""
        self.of_unet.spread_detached()
        self.of_text.spread_detached()

    def step(self) -> Tensor:
        """One step on the sample in `inputs`; the loss, a scalar."""
        self.optimizer.zero_grad(set_to_none=True)
        self.dropout.seed.random_()
        loss = self._loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, LARGEST_GRADIENT, foreach=True)
        self.optimizer.step()
        return loss.detach()

    def _loss(self) -> Tensor:
        """Epsilon MSE on the object's pixels of unoccluded frames, at a random time."""
        diffusion, given = self.diffusion, self.inputs
        self.of_unet.spread()
        self.of_text.spread()
        shown = given.pictures * (given.masks < 0.5)
        latents, masked = diffusion.encode(torch.cat([given.pictures, shown])).chunk(2)
        size = self.pool.crop // LATENT_STRIDE
        mask, weight = (
            F.interpolate(part, size=(size, size)) for part in (given.masks, given.weights)
        )
        noise = torch.randn_like(latents)
        last = self.schedule.config.num_train_timesteps
        time = torch.randint(last, (1,), device=latents.device)
        noisy = self.schedule.add_noise(latents, noise, time)
        text = diffusion.text()[given.text_row]
        given_parts = (noisy, mask.to(noisy.dtype), masked)
        predicted = diffusion.unet(*(_video(part) for part in given_parts), time, text)
        error = (predicted.float() - _video(noise).float()).square()
        return (error * _video(weight)).mean()


def _video(frames: Tensor) -> Tensor:
    """Frames ``(T, C, h, w)`` as a video ``(1, C, T, h, w)``."""
    return frames.transpose(0, 1).unsqueeze(0)


def fit(fitting: Fitting, steps: int, seed: int, on_step: Callable[[], None]) -> None:
    """Fit for a number of steps; on a CUDA device the step is captured once and replayed.

    Parameters
    ----------
    on_step : callable
        Called after each step; what it raises ends the fit.
    """
    device = fitting.diffusion.device
    on_card = device.type == "cuda"
    with torch.random.fork_rng([device] if on_card else []), _training(fitting.diffusion):
        torch.manual_seed(seed)
        step: Callable[[], Tensor] = fitting.step
        for index, sample in zip(range(steps), _ahead(samples(fitting.pool, seed)), strict=False):
            fitting.inputs.fill(sample)
            if index == _WARM_UP and device.type in FUSED_DEVICES:
                step = _captured(fitting)
            step()
            if on_card:
                torch.cuda.current_stream(device).synchronize()
            on_step()


def _ahead(drawn: Iterator[Sample]) -> Iterator[Sample]:
    """Draw the next sample in a thread while the card works on this one."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, drawn)
        while True:
            sample = coming.result()
            coming = thread.submit(next, drawn)
            yield sample


@contextmanager
def _training(diffusion: Diffusion) -> Iterator[None]:
    """The adapted layers' dropout is on inside, and cuDNN takes only what gives the same again."""
    networks = (diffusion.unet, diffusion.text_encoder)
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    for network in networks:
        network.train()
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
        for network in networks:
            network.eval()


def _captured(fitting: Fitting) -> Callable[[], Tensor]:
    """The step as a CUDA graph: without it the card waits for the launches of small kernels."""
    fitting.optimizer.zero_grad(set_to_none=True)
    # What the steps before recorded belongs to another stream, and would draw it in.
    fitting.spread()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = fitting.step()

    def replay() -> Tensor:
        graph.replay()
        return loss

    return replay
