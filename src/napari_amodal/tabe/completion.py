"""From a clip's visible masks to amodal hypotheses with the video diffusion model.

Source: TABE (reference page, sections 5 to 9).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.levels import NO_UP_TO, FrameOcclusion, OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack
from napari_amodal.tabe.cancelling import asked_often, interruptible
from napari_amodal.tabe.canvas import Canvas, CanvasFrames, canvas_for, outpainting_frames
from napari_amodal.tabe.card_memory import free_memory, is_out_of_memory, shortage, told
from napari_amodal.tabe.chunks import chunks_of
from napari_amodal.tabe.completion_steps import CompletionSteps
from napari_amodal.tabe.device import choose_device
from napari_amodal.tabe.diffusion import Diffusion, load_diffusion
from napari_amodal.tabe.diffusion_completer import COCOCO, STABLE_DIFFUSION, DiffusionSettings
from napari_amodal.tabe.fit_cache import fit_key, keep_fit, read_fit
from napari_amodal.tabe.fitting import Fitting, fit
from napari_amodal.tabe.lora import merge
from napari_amodal.tabe.noise import Solver
from napari_amodal.tabe.read_out import ranked, read_out
from napari_amodal.tabe.sam2_network import Sam2Network
from napari_amodal.tabe.sampling import NoisePredictor, Sampling, composed, conditions_of, sample
from napari_amodal.tabe.training_samples import LARGEST_RESIZE, starting_frames, training_pool
from napari_amodal.weights import require

#: Cards with less memory than this fit the model with activations computed twice.
SMALL_CARD = 16 * 2**30

#: What is given of so many chunks (24 MB each) is kept from one hypothesis to the next.
_CHUNKS_KEPT = 4


@dataclass(frozen=True)
class _Task:
    """One object and what is known of it."""

    clip: Clip
    object_id: int
    truth: dict[int, Mask]
    visible: MaskStack
    occlusion: Occlusion
    frames: tuple[FrameOcclusion, ...]
    settings: DiffusionSettings

    @property
    def levels(self) -> tuple[OcclusionLevel, ...]:
        return tuple(frame.level for frame in self.frames)

    @property
    def whole(self) -> frozenset[int]:
        """Frames of which nothing is to be generated: unhidden, or drawn by the annotator."""
        return frozenset(
            t
            for t, level in enumerate(self.levels)
            if level is OcclusionLevel.NO_OCCLUSION or t in self.truth
        )

    def hidden_chunks(self) -> tuple[range, ...]:
        """The chunks in which there is something to generate."""
        return tuple(c for c in chunks_of(self.levels) if not self.whole.issuperset(c))


@dataclass(frozen=True)
class _Means:
    """What the work is done with; `frugal`: with less memory and more time."""

    device: torch.device
    frugal: bool

    @classmethod
    def of(cls, settings: DiffusionSettings) -> _Means:
        device = choose_device(settings.device)
        return cls(device, _saves_memory(settings, device))


def complete_object(
    clip: Clip,
    object_id: int,
    query: Query,
    track: VisibleTrack,
    occlusion: Occlusion,
    settings: DiffusionSettings,
    watch: Watch,
) -> tuple[Hypothesis, ...]:
    """Amodal hypotheses of one object, best first.

    Raises
    ------
    InputError
        No frame shows the object nearly whole, so that there is nothing to fit the model to.
    Cancelled
    """
    truth = dict(query.amodal)
    frames = _with_truth(occlusion.frames, track.masks, truth)
    task = _Task(clip, object_id, truth, track.masks, occlusion, frames, settings)
    chunks = task.hidden_chunks()
    if not chunks:
        return (Hypothesis(_united(task, {}), 1.0),)
    finished: list[MaskStack] = []
    steps = CompletionSteps(watch, settings, chunks)
    means = _Means.of(settings)
    while short := _shortage_of(task, chunks, finished, steps, means):
        free_memory(means.device)
        if means.frugal:
            _tell_shortage(short, finished, settings, watch)
            break
        watch.note(f"The device's memory is not enough ({short}): going on with less, slower")
        means = replace(means, frugal=True)
    return ranked(finished)


def _shortage_of(
    task: _Task,
    chunks: Sequence[range],
    finished: list[MaskStack],
    steps: CompletionSteps,
    means: _Means,
) -> str:
    """Make the hypotheses that are lacking; what memory was short, empty when all are made."""
    try:
        _complete(task, chunks, finished, steps, means)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return shortage(error, means.device)  # the error itself would hold the memory
    return ""


def _tell_shortage(
    short: str, finished: Sequence[MaskStack], settings: DiffusionSettings, watch: Watch
) -> None:
    """Say that even little memory is too much; an error where nothing was made."""
    message = told("generating hidden parts", short)
    if not finished:
        raise InputError(f"{message}. A fit that is done is kept for the next run")
    watch.note(f"Only {len(finished)} of {settings.hypotheses} hypotheses were made: {message}")


def _complete(
    task: _Task,
    chunks: Sequence[range],
    finished: list[MaskStack],
    steps: CompletionSteps,
    means: _Means,
) -> None:
    """Make the hypotheses that are lacking, one after the other, and put them into `finished`."""
    settings = task.settings
    diffusion = _fitted(task, steps, means)
    predict = NoisePredictor(diffusion, settings.guidance, captured=not means.frugal)
    canvas = canvas_for(task.clip, task.occlusion.boxes, settings.size)
    check, readout = steps.watch.check, require(settings.readout)
    reader = interruptible(lambda: Sam2Network(readout, means.device), check)
    given_of = lru_cache(_CHUNKS_KEPT)(partial(_given, task, canvas))
    for number in range(len(finished), settings.hypotheses):
        kept: dict[int, tuple[int, Mask]] = {}
        for index, chunk in enumerate(chunks):
            given = given_of(chunk)
            made = itertools.count(index * settings.sampling_steps + 1)
            on_step = partial(_sampled, steps, number, made)
            with _cancelled_soon(diffusion, check):
                video = _video(task, given, chunk, predict, number, on_step)
            on_frame = partial(steps.read, number)
            found = read_out(reader, video, given.visible, on_frame, check)
            masks = [canvas.take_back(mask) for mask in found]
            _keep_central(kept, chunk, masks)
            if number == 0:
                _show(task, chunk, masks, steps)
        finished.append(_united(task, {frame: mask for frame, (_, mask) in kept.items()}))


def _sampled(steps: CompletionSteps, number: int, made: Iterator[int]) -> None:
    steps.sampled(number, next(made))


def _show(task: _Task, chunk: range, masks: Sequence[Mask], steps: CompletionSteps) -> None:
    """Show what was generated of a chunk while the run goes on."""
    for frame, mask in zip(chunk, masks, strict=True):
        if frame not in task.whole:
            steps.show(FrameMask("amodal", task.object_id, frame, mask | task.visible[frame]))


def _with_truth(
    frames: Sequence[FrameOcclusion], visible: MaskStack, truth: dict[int, Mask]
) -> tuple[FrameOcclusion, ...]:
    """Frames that the annotator's own amodal mask shows to be whole count as unoccluded."""
    known = list(frames)
    for frame, mask in truth.items():
        hidden = np.count_nonzero(mask & ~visible[frame])
        if mask.any() and hidden <= NO_UP_TO * np.count_nonzero(mask):
            known[frame] = FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0)
    return tuple(known)


def _fitted(task: _Task, steps: CompletionSteps, means: _Means) -> Diffusion:
    """The diffusion model, fitted to the clip and with the fit merged into its weights."""
    settings = task.settings
    starts = starting_frames(task.frames, task.visible)
    if not starts:
        raise InputError(
            f"no frame shows object {task.object_id} nearly whole (less than a tenth hidden): draw "
            "its amodal mask where it is least hidden, or take another completer"
        )
    steps.loading()
    device = means.device
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    folder, unet = require(STABLE_DIFFUSION), require(COCOCO)
    diffusion = interruptible(
        lambda: load_diffusion(folder, unet, device, dtype), steps.watch.check
    )
    if means.frugal:
        diffusion = replace(diffusion, vae_batch=1)
    steps.watch.check()
    if settings.fit_steps == 0:
        return diffusion
    side = LARGEST_RESIZE * settings.size // DiffusionSettings.size
    pool = training_pool(task.clip, task.visible, task.frames, starts, side)
    torch.manual_seed(settings.seed)
    fitting = Fitting(diffusion, pool, checkpointing=means.frugal)
    identity = (settings.fit_steps, settings.seed, _identity(unet), _identity(folder))
    key = fit_key(pool, *identity, device.type)
    kept = read_fit(key)
    if kept is None:
        made = itertools.count(1)
        with _cancelled_soon(diffusion, steps.watch.check):
            fit(fitting, settings.fit_steps, settings.seed, lambda: steps.fitted(next(made)))
        keep_fit(key, fitting.trained)
    else:
        for matrix, found in zip(fitting.trained, kept, strict=True):
            matrix.data.copy_(found)
        steps.fit_is_kept()
    fitting.spread()
    merge(diffusion.unet)
    merge(diffusion.text_encoder)
    return diffusion


def _cancelled_soon(
    diffusion: Diffusion, check: Callable[[], None]
) -> AbstractContextManager[None]:
    """A cancel is heard within a step where steps are long; on a CUDA device they are not."""
    if diffusion.device.type == "cuda":
        return nullcontext()
    return asked_often((diffusion.unet, diffusion.vae, diffusion.text_encoder), check)


def _saves_memory(settings: DiffusionSettings, device: torch.device) -> bool:
    if settings.memory != "auto" or device.type != "cuda":
        return settings.memory == "low"
    return torch.cuda.get_device_properties(device).total_memory < SMALL_CARD


def _identity(path: object) -> str:
    """What tells a file or folder of weights from another without reading all of it."""
    from pathlib import Path

    found = Path(str(path))
    files = sorted(found.rglob("*")) if found.is_dir() else [found]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return repr(stats)


def _given(task: _Task, canvas: Canvas, chunk: range) -> CanvasFrames:
    return outpainting_frames(
        task.clip,
        chunk,
        canvas,
        task.visible,
        task.occlusion.hiders,
        task.occlusion.boxes,
        task.whole,
    )


def _video(
    task: _Task,
    given: CanvasFrames,
    chunk: range,
    predict: NoisePredictor,
    number: int,
    on_step: Callable[[], None],
) -> NDArray[np.uint8]:
    """One hypothesis of a chunk as pictures, uint8 ``(T, S, S, 3)``."""
    settings = task.settings
    sampling = Sampling(settings.sampling_steps, Solver(settings.solver))
    conditions = conditions_of(predict.diffusion, given, settings.seed)
    latents = sample(predict, conditions, sampling, settings.seed + number, on_step)
    whole = np.array([frame in task.whole for frame in chunk])
    return composed(predict.diffusion.decode(latents), given, whole)


def _keep_central(kept: dict[int, tuple[int, Mask]], chunk: range, masks: Sequence[Mask]) -> None:
    """Of a frame that two chunks share, keep the mask from where it lies further inside."""
    for frame, mask in zip(chunk, masks, strict=True):
        inside = min(frame - chunk.start, chunk.stop - 1 - frame)
        if frame not in kept or inside > kept[frame][0]:
            kept[frame] = (inside, mask)


def _united(task: _Task, generated: dict[int, Mask]) -> MaskStack:
    """The amodal masks: what was generated, with what is seen; the annotator's own as they are."""

    def masks() -> Iterator[Mask]:
        for frame in range(len(task.clip)):
            if frame in task.truth:
                yield task.truth[frame]
            elif frame in task.whole or frame not in generated:
                yield task.visible[frame]
            else:
                yield generated[frame] | task.visible[frame]

    return MaskStack(masks(), task.clip.height, task.clip.width)
