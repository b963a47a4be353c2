"""The device that a network runs on."""

from __future__ import annotations

import torch

from napari_amodal.errors import CallError


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; for "auto" the best that is here.

    Raises
    ------
    CallError
        The named device is not on this machine.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in here.items() if there))
    if not here[name]:
        found = ", ".join(device for device, there in here.items() if there)
        raise CallError(f"there is no {name} device on this machine for PyTorch; there is: {found}")
    return torch.device(name)
