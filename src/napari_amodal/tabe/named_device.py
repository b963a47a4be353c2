"""Asking for a device by name before a run begins; PyTorch is imported only for that."""

from __future__ import annotations

from collections.abc import Callable

from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.triton_loading import load_triton

#: Devices that are on every machine, in one way or another.
_ALWAYS_HERE = ("auto", "cpu")


def check_named(name: str, check: Callable[[], None]) -> None:
    """Raise `CallError` where the named device is not on this machine."""
    if name not in _ALWAYS_HERE:
        interruptible(lambda: _choose(name), check)


def _choose(name: str) -> None:
    load_triton()
    from napari_amodal.tabe.device import choose_device

    choose_device(name)
