"""A batch on this machine: a process for each graphics card, or one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from napari_amodal.batch.clip_job import ClipJob, Method, complete_clip
from napari_amodal.batch.outcome import Outcome, Status
from napari_amodal.workers import IsCancelled, over_processes, usable_cores

_VISIBLE_CARDS = "CUDA_VISIBLE_DEVICES"
_THREADS = "OMP_NUM_THREADS"
_DEVICE = "device"


def complete_here(
    jobs: Sequence[ClipJob],
    environments: Sequence[Mapping[str, str]],
    is_cancelled: IsCancelled = lambda: False,
) -> Iterator[Outcome]:
    """Complete clips in processes of their own (`environments_for`), and give each as it ends.

    Raises
    ------
    Cancelled
        `is_cancelled` said so.
    """
    for ended in over_processes(complete_clip, jobs, environments, is_cancelled):
        if ended.result is not None:
            yield ended.result
        else:
            told = str(ended.error).splitlines()[0]
            yield Outcome(ended.job.name, Status.FAILED, reason=told, trace=str(ended.error))


def environments_for(method: Method, workers: int | None = None) -> tuple[dict[str, str], ...]:
    """The processes that a batch is spread over here, each by what it changes in its environment.

    Parameters
    ----------
    method : Method
    workers : int, optional
        How many; without it one for each card where the engine runs on cards, and else one.
    """
    cards = cards_here() if runs_on_cards(method) else ()
    count = workers or max(len(cards), 1)
    threads = {} if count == 1 else {_THREADS: str(max(1, usable_cores() // count))}
    return tuple(
        {**threads, **({_VISIBLE_CARDS: cards[at % len(cards)]} if cards else {})}
        for at in range(count)
    )


def runs_on_cards(method: Method) -> bool:
    """Whether a stage of the engine chooses a device, and was not told to take the processor."""
    devices = [
        values[_DEVICE] for values in method.record()["settings"].values() if _DEVICE in values
    ]
    return any(device in ("auto", "cuda") for device in devices)


def cards_here() -> tuple[str, ...]:
    """The CUDA cards that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if find_spec("torch") is None:
        return ()
    torch = import_module("torch")  # by name: nothing here depends on torch
    count = int(torch.cuda.device_count())
    named = [name for name in os.environ.get(_VISIBLE_CARDS, "").split(",") if name]
    return tuple(named[:count]) if named else tuple(str(at) for at in range(count))
