"""One hypothesis after the other: videos are sampled, and amodal masks read off them.

On a CUDA device a video is read while the next one is sampled, in a thread and on a stream of its
own: SAM 2's small kernels leave most of the card idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_amodal.boxes import Box
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask
from napari_amodal.tabe.canvas import Canvas, CanvasFrames, canvas_for
from napari_amodal.tabe.completion_steps import CompletionSteps
from napari_amodal.tabe.completion_task import CompletionTask
from napari_amodal.tabe.diffusion_completer import DiffusionSettings
from napari_amodal.tabe.fitted_model import Means, cancelled_soon, fitted_model
from napari_amodal.tabe.handing_on import HandedOn, going_on, handed_on, shared_with
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.noise import Solver
from napari_amodal.tabe.read_out import prompts, read_out
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


class InTurn(Executor):
    """Does at once what it is given: where memory or the processor is what there is least of."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass(frozen=True)
class _Start:
    """What a chunk is generated from: as pictures, and encoded."""

    given: CanvasFrames
    conditions: Conditions


@dataclass(frozen=True)
class _Found:
    """What was read off a chunk's video.

    Attributes
    ----------
    masks : MaskStack
        Amodal masks of the chunk's frames, ``(T, H, W)``.
    handed : mapping of int to HandedOn
        Frames that chunks to come share.
    """

    masks: MaskStack
    handed: Mapping[int, HandedOn]


@dataclass(frozen=True)
class _Part:
    """A chunk of a hypothesis, which may still be read."""

    chunk: range
    found: Future[_Found]


@contextmanager
def generating(
    task: CompletionTask,
    settings: DiffusionSettings,
    chunks: Sequence[range],
    steps: CompletionSteps,
    means: Means,
) -> Iterator[Generation]:
    """An object's generation with the networks loaded, to be used inside."""
    check, device = steps.watch.check, means.device
    diffusion = fitted_model(task, settings, steps, means)
    readout = require(settings.readout)
    reader = interruptible(lambda: Sam2Network(readout, device), check)
    predict = NoisePredictor(diffusion, settings.guidance, captured=not means.frugal)
    canvas = canvas_for(task.clip, task.boxes, settings.size)
    stream = torch.cuda.Stream(device) if device.type == "cuda" and means.beside else None
    with ThreadPoolExecutor(1, "reading") if means.beside else InTurn() as executor:
        yield Generation(task, settings, chunks, canvas, predict, reader, steps, executor, stream)


@dataclass(frozen=True, eq=False)
class Generation:
    """Gives one hypothesis after the other.

    Attributes
    ----------
    executor : Executor
        Reads videos; in turn with the sampling where it is `InTurn`.
    stream : torch.cuda.Stream or None
        Where they are read.
    """

    task: CompletionTask
    settings: DiffusionSettings
    chunks: Sequence[range]
    canvas: Canvas
    predict: NoisePredictor
    reader: Sam2Network
    steps: CompletionSteps
    executor: Executor
    stream: torch.cuda.Stream | None
    _starts: dict[range, _Start] = field(default_factory=dict)
    _unread: list[_Part] = field(default_factory=list)
    _unshown: list[_Part] = field(default_factory=list)

    @property
    def ahead(self) -> int:
        """How many hypotheses may be sampled before the one before them is read."""
        return 0 if isinstance(self.executor, InTurn) else 1

    def hypothesis(self, number: int) -> Callable[[], MaskStack]:
        """Sample a hypothesis; what is returned waits for its amodal masks, ``(T, H, W)``."""
        parts: list[_Part] = []
        handed: dict[int, HandedOn] = {}
        for index, chunk in enumerate(self.chunks):
            self.steps.begin(number, index)
            given, known = going_on(self._start(chunk).given, chunk, handed)
            if not given.hidden.any():
                continue
            latents = self._latents(chunk, given, number)
            wanted = shared_with(chunk, self.chunks[index + 1 :]) - self.task.whole
            read = self.executor.submit(self._read, chunk, given, known, latents, wanted)
            parts.append(_Part(chunk, read))
            self._unread.append(parts[-1])
            if number == 0:
                self._unshown.append(parts[-1])
            if wanted:
                handed |= read.result().handed
        return partial(self._united, number, parts)

    def _united(self, number: int, parts: Sequence[_Part]) -> MaskStack:
        """The masks of a hypothesis; a frame that two parts share is the first one's."""
        places = {
            frame: (part.found.result().masks, at)
            for part in reversed(parts)
            for at, frame in enumerate(part.chunk)
        }
        self._show_what_is_read()
        self.steps.finished(number)
        return self.task.united(lambda t: places[t][0][places[t][1]] if t in places else None)

    def _start(self, chunk: range) -> _Start:
        if chunk not in self._starts:
            while len(self._starts) >= _CHUNKS_KEPT:
                del self._starts[next(iter(self._starts))]
            given = self.task.shown(self.canvas, chunk)
            self._starts[chunk] = _Start(given, self._conditions(given))
        return self._starts[chunk]

    def _conditions(self, given: CanvasFrames) -> Conditions:
        diffusion = self.predict.diffusion
        with cancelled_soon(diffusion, self.steps.watch.check):
            return conditions_of(diffusion, given, self.settings.seed)

    def _latents(self, chunk: range, given: CanvasFrames, number: int) -> Tensor:
        """Sample a chunk; latents ``(T, 4, h, w)``."""
        settings, start = self.settings, self._start(chunk)
        conditions = start.conditions if given is start.given else self._conditions(given)
        if self.predict.captures_for(conditions):  # nothing else may use the card meanwhile
            wait([part.found for part in self._unread])
        self._unread[:] = [part for part in self._unread if not part.found.done()]
        sampling = Sampling(settings.sampling_steps, Solver(settings.solver))
        seed = settings.seed + number
        with cancelled_soon(self.predict.diffusion, self.steps.watch.check):
            return sample(self.predict, conditions, sampling, seed, self._sampled)

    def _sampled(self) -> None:
        self.steps.sampled()
        self._show_what_is_read()

    def _read(
        self,
        chunk: range,
        given: CanvasFrames,
        known: Mapping[int, Mask],
        latents: Tensor,
        wanted: frozenset[int],
    ) -> _Found:
        """Decode a chunk's video and find the amodal masks in it."""
        diffusion, check = self.predict.diffusion, self.steps.watch.check
        with torch.cuda.stream(self.stream):
            with cancelled_soon(diffusion, check):
                pictures = diffusion.decode(latents)
            # Nothing is generated of such frames: what is given is the truth.
            untouched = np.logical_not(given.hidden.any(axis=(1, 2)))
            pictures = composed(pictures, given, untouched)
            query = prompts(given, {**known, **self._drawn(chunk)}, self._boxes(chunk))
            on_frame = _nothing if self.ahead else self.steps.read
            masks = read_out(self.reader, pictures, query, on_frame, check)
        in_frames = (self.canvas.take_back(mask) for mask in masks)
        return _Found(
            MaskStack(in_frames, self.task.clip.height, self.task.clip.width),
            handed_on(given, chunk, pictures, masks, wanted),
        )

    def _drawn(self, chunk: range) -> dict[int, Mask]:
        """The annotator's amodal masks on the canvas, by index in the chunk."""
        amodal = self.task.amodal
        return {
            at: self.canvas.place_mask(amodal[frame])
            for at, frame in enumerate(chunk)
            if frame in amodal
        }

    def _boxes(self, chunk: range) -> list[Box | None]:
        boxes = self.task.boxes[chunk.start : chunk.stop]
        return [self.canvas.place_box(box) if box else None for box in boxes]

    def _show_what_is_read(self) -> None:
        """Show the first hypothesis, chunk by chunk, while the run goes on."""
        while self._unshown and self._unshown[0].found.done():
            part = self._unshown.pop(0)
            for frame, mask in zip(part.chunk, part.found.result().masks, strict=True):
                if self.task.is_open(frame):
                    whole = mask | self.task.visible[frame]
                    self.steps.show(FrameMask("amodal", self.task.object_id, frame, whole))


def _nothing() -> None:
    """The thread that reads says nothing of how far it is: the other one does."""
