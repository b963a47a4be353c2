"""Networks from folders in transformers' layout; nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn
from transformers.utils import logging

from napari_amodal.errors import InputError

Network = TypeVar("Network", bound=nn.Module)


def load_pretrained(kind: type[Network], folder: Path, title: str) -> Network:
    """A network in float32 on the CPU, ready for inference.

    Parameters
    ----------
    kind : type
        One of transformers' classes.
    folder : Path
        Holds ``config.json`` and ``model.safetensors``.
    title : str
        What the network is called in messages.

    Raises
    ------
    InputError
        The folder is of another layout, or a part of the network is not in it.
    """
    load: Any = cast(Any, kind).from_pretrained
    try:
        with quiet():
            model, report = load(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder} cannot be loaded as {title}: {error}") from error
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise InputError(f"{folder} is no whole {title}: it lacks {lacking[0]}{more}")
    return cast(Network, model.float().eval())


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own progress bars: they would run through ours."""
    log: Any = logging
    shown = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            log.enable_progress_bar()
