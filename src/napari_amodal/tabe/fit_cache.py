"""Fits that were made before, so that more hypotheses of a clip cost only sampling."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from napari_amodal.tabe.training_samples import TrainingPool

#: The folder holds no more than this; the fits that were not used for longest go first.
LARGEST_CACHE = 2 * 2**30

_FOLDER = "fits"

#: A file that was begun this long ago will not be finished, in seconds.
_ABANDONED = 3600

#: Counts up when the same settings come to give another fit.
_VERSION = 2


def fits_folder() -> Path:
    """Where fits lie: the user's cache folder, or below ``NAPARI_AMODAL_CACHE``."""
    own = os.environ.get("NAPARI_AMODAL_CACHE")
    return (Path(own) if own else user_cache_path("napari-amodal")) / _FOLDER


def fit_key(pool: TrainingPool, *parts: object) -> str:
    """A name for a fit: the same for the same frames, masks and settings.

    Parameters
    ----------
    parts : object
        Whatever else the fit follows from: settings, seed, the weights' identity.
    """
    found = hashlib.sha256(repr((_VERSION, pool.stretches, parts)).encode())
    for array in (pool.pixels, pool.visible, pool.whole):
        found.update(array.tobytes())
    return found.hexdigest()


def read_fit(key: str, shapes: Sequence[torch.Size]) -> list[torch.Tensor] | None:
    """The trained vectors of a fit, on the CPU; None where there is none of these shapes."""
    file = fits_folder() / f"{key}.safetensors"
    try:
        kept = load_file(file)
        found = [kept[str(index)] for index in range(len(shapes))]
    except (OSError, SafetensorError, KeyError):
        return None
    with suppress(OSError):  # a folder that cannot be written is good for reading
        file.touch()
    fits = [vector.shape for vector in found] == list(shapes)
    return found if fits and all(v.isfinite().all() for v in found) else None


def keep_fit(key: str, matrices: Iterable[torch.Tensor]) -> None:
    """Write a fit beside and rename it; the oldest ones make room. A full disk keeps nothing."""
    folder = fits_folder()
    partial = folder / f".{key}.partial-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {str(i): m.detach().cpu().contiguous() for i, m in enumerate(matrices)}
        save_file(tensors, partial)
        partial.replace(folder / f"{key}.safetensors")
        _make_room(folder)
    except OSError:
        partial.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """Drop what the runs that were killed began, and the fits that were not used for longest."""
    old = time.time() - _ABANDONED
    for begun in folder.glob(".*.partial-*"):
        if begun.stat().st_mtime < old:
            begun.unlink(missing_ok=True)
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    excess = sum(file.stat().st_size for file in files) - LARGEST_CACHE
    for file in files[:-1]:
        if excess <= 0:
            break
        excess -= file.stat().st_size
        file.unlink()
