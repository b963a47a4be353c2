"""Finding engines and stages, ours and other packages' alike, through entry points.

A package offers a stage by an entry point in the group of its kind, and an engine by one in
``napari_amodal.engines``::

    [project.entry-points."napari_amodal.trackers"]
    mine = "my_package.tracker:MyTracker"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from napari_amodal.errors import CallError

ENGINES_GROUP = "napari_amodal.engines"
PROMPTERS_GROUP = "napari_amodal.prompters"


class StageKind(StrEnum):
    """The kinds of stages; the value is the entry point group."""

    TRACKER = "napari_amodal.trackers"
    REASONER = "napari_amodal.occlusion_reasoners"
    COMPLETER = "napari_amodal.completers"

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Engine:
    """A named choice of the three stages, with settings where they differ from the defaults.

    Attributes
    ----------
    name, summary : str
        What it is called, and a line on what it is for.
    tracker, reasoner, completer : str
        Names of stages.
    settings : mapping
        Stage name to a mapping of setting to value.
    """

    name: str
    summary: str
    tracker: str
    reasoner: str
    completer: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def stages(self) -> Mapping[StageKind, str]:
        return {
            StageKind.TRACKER: self.tracker,
            StageKind.REASONER: self.reasoner,
            StageKind.COMPLETER: self.completer,
        }


@cache
def _entry_points(group: str) -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def stage_names(kind: StageKind) -> tuple[str, ...]:
    """Names of the stages of one kind; nothing of theirs is imported."""
    return tuple(sorted(_entry_points(kind)))


def stage_type(kind: StageKind, name: str) -> Any:
    """The class of a stage (see `napari_amodal.stages`).

    Raises
    ------
    CallError
        No stage of this kind has that name, or its package cannot be imported.
    """
    known = _entry_points(kind)
    if name not in known:
        raise CallError(
            f"there is no {kind.label} named {name!r}; there are: {', '.join(sorted(known))}"
        )
    return _load(known[name], kind.label)


def _load(point: EntryPoint, what: str) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package's import may raise
        raise CallError(
            f"the {what} {point.name!r} ({point.value}) cannot be loaded: {error}"
        ) from error


def prompter_names() -> tuple[str, ...]:
    """Names of the prompters: what makes masks from clicks; nothing of theirs is imported."""
    return tuple(sorted(_entry_points(PROMPTERS_GROUP)))


def prompter_type(name: str) -> Any:
    """The class of a prompter (`napari_amodal.stages.Prompter`).

    Raises
    ------
    CallError
        There is none of that name, or its package cannot be imported.
    """
    known = _entry_points(PROMPTERS_GROUP)
    if name not in known:
        raise CallError(f"there is no prompter {name!r}; there are: {', '.join(sorted(known))}")
    return _load(known[name], "prompter")


def engine_names() -> tuple[str, ...]:
    """Names of the engines, `draft` first."""
    return tuple(sorted(_entry_points(ENGINES_GROUP), key=lambda name: (name != "draft", name)))


def find_engine(name: str) -> Engine:
    """An engine by name, or a mixture written ``TRACKER+REASONER+COMPLETER``.

    Raises
    ------
    CallError
        There is no such engine or stage.
    """
    known = _entry_points(ENGINES_GROUP)
    if name in known:
        engine = _load(known[name], "engine")
        assert isinstance(engine, Engine)
        return engine
    parts = name.split("+")
    if len(parts) != 3:
        raise CallError(
            f"there is no engine named {name!r}; there are: {', '.join(engine_names())}, and "
            "mixtures written TRACKER+REASONER+COMPLETER"
        )
    for kind, part in zip(StageKind, parts, strict=True):
        stage_type(kind, part)
    tracker, reasoner, completer = parts
    return Engine(name, "a mixture of stages", tracker, reasoner, completer)
