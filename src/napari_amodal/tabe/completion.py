"""From a clip's visible masks to amodal hypotheses with the video diffusion model.

Source: TABE (reference page, sections 5 to 9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack
from napari_amodal.tabe.card_memory import free_memory, is_out_of_memory, shortage, told
from napari_amodal.tabe.completion_steps import CompletionSteps
from napari_amodal.tabe.completion_task import CompletionTask
from napari_amodal.tabe.diffusion_completer import DiffusionSettings
from napari_amodal.tabe.fitted_model import Means
from napari_amodal.tabe.generation import generating
from napari_amodal.tabe.handing_on import in_order
from napari_amodal.tabe.read_out import ranked


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
        return (Hypothesis(task.united(lambda _: None), 1.0),)
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
    coming: list[Callable[[], MaskStack]] = []
    try:
        with generating(task, settings, chunks, steps, means) as work:
            try:
                for number in range(len(finished), settings.hypotheses):
                    coming.append(work.hypothesis(number))
                    if len(coming) > work.ahead:
                        finished.append(coming.pop(0)())
            finally:
                finished.extend(masks() for masks in coming)
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
