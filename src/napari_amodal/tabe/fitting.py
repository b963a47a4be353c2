"""Fitting the video model to one clip with LoRA (TABE; reference page, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


@dataclass(frozen=True)
class _Encoded:
    """A sample as the UNet sees it: latents of the frames and of what is shown of them."""

    latents: Tensor
    masked: Tensor
    mask: Tensor
    weight: Tensor
    text_row: Tensor

    def copy_(self, other: _Encoded) -> None:
        for name in self.__dataclass_fields__:
            getattr(self, name).copy_(getattr(other, name))


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
        self._inputs = _Inputs.empty(pool.crop, diffusion.device)
        self._current: _Encoded | None = None
        #: Where the next sample is encoded while the UNet works on this one.
        self._beside = torch.cuda.Stream(diffusion.device) if on_card else None

    @property
    def trained(self) -> list[nn.Parameter]:
        """What is trained: a vector of the UNet's adaptation, and one of the text encoder's."""
        return [self.of_unet.vector, self.of_text.vector]

    def spread(self) -> None:
        """Hand the layers their matrices as they are now, for use."""
        self.of_unet.spread_detached()
        self.of_text.spread_detached()

    def show(self, sample: Sample) -> None:
        """Say what comes next: it is encoded by the step before the one that takes it."""
        self._inputs.fill(sample)
        if self._current is None:
            self._current = self._encoded()

    def step(self) -> Tensor:
        """One step on the sample shown before the last; the loss, a scalar.

        The sample that was shown last is encoded meanwhile: the UNet's small kernels leave much of
        a card idle.
        """
        assert self._current is not None, "show() comes first"
        with self._in_parallel():
            coming = self._encoded()
        self.optimizer.zero_grad(set_to_none=True)
        self.dropout.seed.random_()
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, LARGEST_GRADIENT, foreach=True)
        self.optimizer.step()
        if self._beside is not None:
            torch.cuda.current_stream(self._beside.device).wait_stream(self._beside)
        self._current.copy_(coming)
        return loss.detach()

    def _in_parallel(self) -> AbstractContextManager[None]:
        if self._beside is None:
            return nullcontext()
        self._beside.wait_stream(torch.cuda.current_stream(self._beside.device))
        return torch.cuda.stream(self._beside)  # type: ignore[no-any-return]

    def _encoded(self) -> _Encoded:
        given = self._inputs
        shown = given.pictures * (given.masks < 0.5)
        latents, masked = self.diffusion.encode(torch.cat([given.pictures, shown])).chunk(2)
        size = self.pool.crop // LATENT_STRIDE
        mask, weight = (
            F.interpolate(part, size=(size, size)) for part in (given.masks, given.weights)
        )
        return _Encoded(latents, masked, mask.to(latents.dtype), weight, given.text_row.clone())

    def loss(self) -> Tensor:
        """Epsilon MSE on the object's pixels of unoccluded frames, at a random time."""
        assert self._current is not None, "show() comes first"
        diffusion, given = self.diffusion, self._current
        self.of_unet.spread()
        self.of_text.spread()
        noise = torch.randn_like(given.latents)
        last = self.schedule.config.num_train_timesteps
        time = torch.randint(last, (1,), device=noise.device)
        noisy = self.schedule.add_noise(given.latents, noise, time)
        text = diffusion.text()[given.text_row]
        parts = (noisy, given.mask, given.masked)
        predicted = diffusion.unet(*(_video(part) for part in parts), time, text)
        error = (predicted.float() - _video(noise).float()).square()
        return (error * _video(given.weight)).mean()


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
        drawn = _ahead(samples(fitting.pool, seed))
        fitting.show(next(drawn))
        for index, coming in zip(range(steps), drawn, strict=False):
            fitting.show(coming)
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
    # The UNet's kernels go first: the encoder's fill what they leave.
    first = torch.cuda.Stream(fitting.diffusion.device, priority=-1)
    with torch.cuda.graph(graph, stream=first):
        loss = fitting.step()

    def replay() -> Tensor:
        graph.replay()
        return loss

    return replay
