"""The video diffusion model, fitted to one clip: fitted now, or with a fit that was kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from napari_amodal.errors import InputError
from napari_amodal.tabe.cancelling import asked_often
from napari_amodal.tabe.completion_steps import CompletionSteps
from napari_amodal.tabe.completion_task import CompletionTask
from napari_amodal.tabe.device import choose_device
from napari_amodal.tabe.diffusion import Diffusion, load_diffusion
from napari_amodal.tabe.diffusion_completer import COCOCO, STABLE_DIFFUSION, DiffusionSettings
from napari_amodal.tabe.fit_cache import fit_key, keep_fit, read_fit
from napari_amodal.tabe.fitting import Fitting, fit
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.lora import merge
from napari_amodal.tabe.training_samples import (
    LARGEST_RESIZE,
    TrainingPool,
    starting_frames,
    training_pool,
)
from napari_amodal.weights import require

#: Cards with less memory than this fit the model with activations computed twice.
SMALL_CARD = 16 * 2**30


@dataclass(frozen=True)
class Means:
    """What the work is done with; `frugal`: with less memory and more time."""

    device: torch.device
    frugal: bool

    @property
    def beside(self) -> bool:
        """Whether videos are read while others are sampled: it takes memory, and an idle CPU."""
        return self.device.type == "cuda" and not self.frugal

    @classmethod
    def of(cls, settings: DiffusionSettings) -> Means:
        device = choose_device(settings.device)
        if settings.memory != "auto" or device.type != "cuda":
            return cls(device, settings.memory == "low")
        return cls(device, torch.cuda.get_device_properties(device).total_memory < SMALL_CARD)


def fitted_model(
    task: CompletionTask, settings: DiffusionSettings, steps: CompletionSteps, means: Means
) -> Diffusion:
    """The diffusion model with the clip's fit merged into its weights.

    Raises
    ------
    InputError
        No frame shows the object nearly whole, so that there is nothing to fit the model to; or
        the weights cannot be read.
    CallError
        The weights are not here.
    """
    starts = starting_frames(task.frames, task.visible)
    if not starts:
        raise InputError(
            f"no frame shows object {task.object_id} nearly whole (less than a tenth hidden): draw "
            "its amodal mask where it is least hidden, or take another completer"
        )
    steps.loading()
    diffusion = _loaded(steps.watch.check, means)
    if settings.fit_steps == 0:
        return diffusion
    side = LARGEST_RESIZE * settings.size // DiffusionSettings.size
    pool = training_pool(task.clip, task.visible, task.frames, starts, side)
    with torch.random.fork_rng([means.device] if means.device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        fitting = Fitting(diffusion, pool, checkpointing=means.frugal)
    key = _key(pool, settings, means.device)
    kept = read_fit(key, [vector.shape for vector in fitting.trained])
    if kept is None:
        with cancelled_soon(diffusion, steps.watch.check):
            fit(fitting, settings.fit_steps, settings.seed, steps.fitted)
        keep_fit(key, fitting.trained)
    else:
        for vector, found in zip(fitting.trained, kept, strict=True):
            vector.data.copy_(found)
        steps.fit_is_kept()
    fitting.spread()
    merge(diffusion.unet)
    merge(diffusion.text_encoder)
    return diffusion


def cancelled_soon(diffusion: Diffusion, check: Callable[[], None]) -> AbstractContextManager[None]:
    """A cancel is heard within a step where steps are long; on a CUDA device they are not."""
    if diffusion.device.type == "cuda":
        return nullcontext()
    return asked_often((diffusion.unet, diffusion.vae, diffusion.text_encoder), check)


def _loaded(check: Callable[[], None], means: Means) -> Diffusion:
    device = means.device
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    folder, unet = require(STABLE_DIFFUSION), require(COCOCO)
    diffusion = interruptible(lambda: load_diffusion(folder, unet, device, dtype), check)
    check()
    return replace(diffusion, vae_batch=1) if means.frugal else diffusion


def _key(pool: TrainingPool, settings: DiffusionSettings, device: torch.device) -> str:
    """What the fit follows from; a card of another kind rounds otherwise."""
    weights = (_identity(require(name)) for name in (COCOCO, STABLE_DIFFUSION))
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return fit_key(pool, settings.fit_steps, settings.seed, *weights, card)


def _identity(weights: Path) -> str:
    """What tells a file or folder of weights from another without reading all of it."""
    files = sorted(weights.rglob("*")) if weights.is_dir() else [weights]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return repr(stats)
