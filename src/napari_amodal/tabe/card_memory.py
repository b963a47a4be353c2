"""When the memory of a card is not enough: knowing it, telling it in numbers, freeing it."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_amodal.errors import InputError

_WORDS = ("out of memory", "can't allocate memory")
_TRIED = re.compile(r"[Tt]ried to allocate ([\d.]+ ?\w+)")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came of, says that memory was not enough.

    MPS and the CPU raise plain `RuntimeError`; a CUDA graph that fails in its capture raises an
    error of its own on top.
    """
    return any(
        isinstance(link, torch.OutOfMemoryError)
        or (isinstance(link, RuntimeError) and any(word in str(link).lower() for word in _WORDS))
        for link in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shortage(error: BaseException, device: torch.device) -> str:
    """How much was asked for and how much there is: ``2.00 GiB more were needed, ...``."""
    tried = _TRIED.search(" ".join(map(str, _chain(error))))
    needed = f"{tried[1]} more were needed" if tried else "more was needed than there is"
    if device.type != "cuda":
        return f"{needed} on the device {device.type}"
    free, total = torch.cuda.mem_get_info(device)
    ours = torch.cuda.memory_allocated(device)
    others = max(0, total - free - torch.cuda.memory_reserved(device))
    return (
        f"{needed}, beside {_gib(ours)} in use here and {_gib(others)} in use by others, of "
        f"{_gib(total)} on {torch.cuda.get_device_name(device)}"
    )


def free_memory(device: torch.device) -> None:
    """Give back what nothing holds any more; call it outside the handler of an error."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def shortage_told(what: str, device: torch.device) -> Iterator[None]:
    """Turn the device's error of too little memory into an `InputError` with the numbers.

    Parameters
    ----------
    what : str
        What was being done, as the beginning of a sentence: ``tracking with SAM 2``.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(told(what, shortage(error, device))) from error


def told(what: str, short: str) -> str:
    """The message of an error of too little memory."""
    return (
        f"{what} needs more memory than the device has: {short}; close what else uses it, choose a "
        "smaller network, or the device cpu"
    )


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
