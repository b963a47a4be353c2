"""From a clip's visible masks to amodal hypotheses with the video diffusion model.

Source: TABE (reference page, sections 5 to 9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack
from napari_amodal.tabe.canvas import Canvas, CanvasFrames, canvas_for
from napari_amodal.tabe.card_memory import free_memory, is_out_of_memory, shortage, told
from napari_amodal.tabe.completion_steps import CompletionSteps
from napari_amodal.tabe.completion_task import CompletionTask
from napari_amodal.tabe.diffusion_completer import DiffusionSettings
from napari_amodal.tabe.fitted_model import Means, cancelled_soon, fitted_model
from napari_amodal.tabe.handing_on import HandedOn, going_on, handed_on, in_order, shared_with
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.noise import Solver
from napari_amodal.tabe.read_out import prompts, ranked, read_out
from napari_amodal.tabe.sam2_network import Sam2Network
from napari_amodal.tabe.sampling import (
    Conditions,
    NoisePredictor,
    Sampling,
    composed,
    conditions_of,
    sample,
)
from napari_amodal.weights import require

#: What is given of so many chunks (24 MB each) is kept from one hypothesis to the next.
_CHUNKS_KEPT = 4


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
    task = CompletionTask.of(clip, object_id, query, track, occlusion)
    chunks = in_order(task.chunks(), _known(task))
    if not chunks:
        return (Hypothesis(task.united({}), 1.0),)
    finished: list[MaskStack] = []
    steps = CompletionSteps(watch, settings, chunks)
    means = Means.of(settings)
    while short := _shortage_of(task, settings, chunks, finished, steps, means):
        free_memory(means.device)
        if means.frugal:
            _tell_shortage(short, finished, settings, watch)
            break
        watch.note(f"The device's memory is not enough ({short}): going on with less, slower")
        means = replace(means, frugal=True)
    return ranked(finished)


def _known(task: CompletionTask) -> frozenset[int]:
    """Frames in which something of the object is seen, or that the annotator completed."""
    seen = {frame for frame, box in enumerate(task.visible.boxes) if box is not None}
    return frozenset(seen | {frame for frame, mask in task.amodal.items() if mask.any()})


def _shortage_of(
    task: CompletionTask,
    settings: DiffusionSettings,
    chunks: Sequence[range],
    finished: list[MaskStack],
    steps: CompletionSteps,
    means: Means,
) -> str:
    """Make the hypotheses that are lacking; what memory was short, empty when all are made."""
    try:
        work = _Generation.begin(task, settings, chunks, steps, means)
        for number in range(len(finished), settings.hypotheses):
            finished.append(work.hypothesis(number))
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


@dataclass(frozen=True)
class _Start:
    """What a chunk is generated from: as pictures, and encoded."""

    given: CanvasFrames
    conditions: Conditions


@dataclass(frozen=True)
class _Generation:
    """An object's work with the networks loaded: gives one hypothesis after the other."""

    task: CompletionTask
    settings: DiffusionSettings
    chunks: Sequence[range]
    canvas: Canvas
    predict: NoisePredictor
    reader: Sam2Network
    steps: CompletionSteps
    start_of: Callable[[range], _Start]

    @classmethod
    def begin(
        cls,
        task: CompletionTask,
        settings: DiffusionSettings,
        chunks: Sequence[range],
        steps: CompletionSteps,
        means: Means,
    ) -> _Generation:
        diffusion = fitted_model(task, settings, steps, means)
        predict = NoisePredictor(diffusion, settings.guidance, captured=not means.frugal)
        readout = require(settings.readout)
        reader = interruptible(lambda: Sam2Network(readout, means.device), steps.watch.check)
        canvas = canvas_for(task.clip, task.boxes, settings.size)

        @lru_cache(_CHUNKS_KEPT)
        def start_of(chunk: range) -> _Start:
            given = task.shown(canvas, chunk)
            return _Start(given, conditions_of(diffusion, given, settings.seed))

        return cls(task, settings, chunks, canvas, predict, reader, steps, start_of)

    def hypothesis(self, number: int) -> MaskStack:
        """The amodal masks of one hypothesis, ``(T, H, W)``."""
        found: dict[int, Mask] = {}
        handed: dict[int, HandedOn] = {}
        for index, chunk in enumerate(self.chunks):
            self.steps.begin(number, index)
            given, known = going_on(self.start_of(chunk).given, chunk, handed)
            if not given.hidden.any():
                continue
            video = self._video(chunk, given, number)
            masks = self._masks(chunk, given, known, video)
            for frame, mask in zip(chunk, masks, strict=True):
                if self.task.is_open(frame) and frame not in handed:
                    found[frame] = self.canvas.take_back(mask)
            if number == 0:
                self._show(chunk, found)
            wanted = shared_with(chunk, self.chunks[index + 1 :]) - self.task.whole
            handed |= handed_on(given, chunk, video, masks, wanted)
        return self.task.united(found)

    def _video(self, chunk: range, given: CanvasFrames, number: int) -> NDArray[np.uint8]:
        """One hypothesis of a chunk as pictures, uint8 ``(T, S, S, 3)``."""
        settings, diffusion = self.settings, self.predict.diffusion
        start = self.start_of(chunk)
        sampling = Sampling(settings.sampling_steps, Solver(settings.solver))
        with cancelled_soon(diffusion, self.steps.watch.check):
            conditions = start.conditions
            if given is not start.given:
                conditions = conditions_of(diffusion, given, settings.seed)
            seed = settings.seed + number
            latents = sample(self.predict, conditions, sampling, seed, self.steps.sampled)
            # Nothing is generated of such frames: what is given is the truth.
            untouched = np.logical_not(given.hidden.any(axis=(1, 2)))
            return composed(diffusion.decode(latents), given, untouched)

    def _masks(
        self,
        chunk: range,
        given: CanvasFrames,
        known: Mapping[int, Mask],
        video: NDArray[np.uint8],
    ) -> list[Mask]:
        """The amodal masks of a generated video, bool ``(S, S)`` each."""
        drawn = {
            at: self.canvas.place_mask(self.task.amodal[frame])
            for at, frame in enumerate(chunk)
            if frame in self.task.amodal
        }
        boxes = [self.canvas.place_box(box) if box else None for box in self._boxes(chunk)]
        query = prompts(given, {**known, **drawn}, boxes)
        return read_out(self.reader, video, query, self.steps.read, self.steps.watch.check)

    def _boxes(self, chunk: range) -> tuple[Box | None, ...]:
        return self.task.boxes[chunk.start : chunk.stop]

    def _show(self, chunk: range, found: Mapping[int, Mask]) -> None:
        """Show what was generated of a chunk while the run goes on."""
        for frame in found.keys() & set(chunk):
            whole = found[frame] | self.task.visible[frame]
            self.steps.show(FrameMask("amodal", self.task.object_id, frame, whole))
