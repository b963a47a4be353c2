"""``napari-amodal info``: what is here, and what the engines still lack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from napari_amodal.cli.console import reporting
from napari_amodal.errors import CallError

if TYPE_CHECKING:
    from napari_amodal.registry import Engine, StageKind

#: Distributions whose versions matter; napari and torch are optional.
_OF_INTEREST = (
    "numpy",
    "opencv-python-headless",
    "av",
    "scikit-image",
    "scipy",
    "dask",
    "napari",
    "torch",
)


@reporting
def info() -> None:
    """Show versions, devices, and what the engines still lack."""
    for title, lines in (
        ("versions", _versions()),
        ("devices", _devices()),
        ("engines", _engines()),
        ("stages", _stages()),
    ):
        typer.echo(typer.style(title, bold=True))
        for name, text in lines:
            typer.echo(f"  {name:<26} {text}")


def _versions() -> Iterator[tuple[str, str]]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from napari_amodal import __version__

    yield "napari-amodal", __version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in _OF_INTEREST:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _devices() -> Iterator[tuple[str, str]]:
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "processor cores", str(cores)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield "memory", f"{memory / 2**30:.1f} GiB"
    yield from _gpus()


def _gpus() -> Iterator[tuple[str, str]]:
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("torch") is None:
        yield "graphics cards", "not looked for: torch is not installed"
        return
    try:
        torch = import_module("torch")  # by name: nothing here depends on torch
        cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    except Exception as error:  # a broken torch or driver is what `info` is asked about
        yield "graphics cards", f"torch fails: {error}"
        return
    for card in cards:
        yield "graphics card", f"{card.name}, {card.total_memory / 2**30:.1f} GiB"
    if not cards:
        yield "graphics cards", "none that torch can use"


def _engines() -> Iterator[tuple[str, str]]:
    from napari_amodal.registry import engine_names, find_engine

    for name in engine_names():
        try:
            engine = find_engine(name)
        except Exception as error:  # another package's engine may fail in any way
            yield name, f"cannot be loaded: {error}"
            continue
        lacks = _lacks_of_engine(engine)
        stages = " + ".join(engine.stages.values())
        yield name, f"{'lacks something' if lacks else 'ready'}: {stages}"
        yield "", engine.summary
        for lack in lacks:
            yield "", lack


def _stages() -> Iterator[tuple[str, str]]:
    from napari_amodal.registry import StageKind, stage_names

    for kind in StageKind:
        for name in stage_names(kind):
            first, *others = _lacks(kind, name) or ["ready"]
            yield f"{kind.label} {name}", first
            for lack in others:
                yield "", lack


def _lacks_of_engine(engine: Engine) -> list[str]:
    """What an engine still lacks, or why it cannot be made."""
    from napari_amodal.engine import lacks

    try:
        return [lack.told for lack in lacks(engine)]
    except Exception as error:  # another package's engine may fail in any way
        return [str(error)]


def _lacks(kind: StageKind, name: str) -> list[str]:
    """What a stage still lacks, or why it cannot be loaded."""
    from napari_amodal.engine import stage_lacks

    try:
        return [lack.told for lack in stage_lacks(kind, name, {})]
    except CallError as error:
        return [str(error)]
    except Exception as error:  # another package's stage may fail in any way
        return [f"the {kind.label} {name!r} cannot be loaded: {error}"]
