"""Where weights lie, and which of them are there. Nothing here reaches for a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from platformdirs import user_data_path

from napari_amodal.errors import CallError
from napari_amodal.weights.catalogue import CATALOGUE, HubSource, Weight, find_weight

#: Folders to use instead of the user's own, separated as in PATH. What is fetched or imported goes
#: to the first; all are searched.
FOLDERS_VARIABLE = "NAPARI_AMODAL_WEIGHTS"


class Presence(StrEnum):
    """How much of a weight is there."""

    THERE = "there"
    INCOMPLETE = "incomplete"
    ABSENT = "absent"


@dataclass(frozen=True)
class Holding:
    """What is there of a weight.

    Attributes
    ----------
    weight : Weight
    presence : Presence
    path : pathlib.Path or None
        The folder or file that stages read; where it is incomplete, the folder that was looked at.
    size : int
        Bytes of its files.
    lacks : tuple of str
        Files that an incomplete one still needs.
    """

    weight: Weight
    presence: Presence
    path: Path | None = None
    size: int = 0
    lacks: tuple[str, ...] = ()


def folders() -> tuple[Path, ...]:
    """The folders that are searched, in this order; what is fetched goes to the first."""
    named = os.environ.get(FOLDERS_VARIABLE, "")
    paths = tuple(Path(word).expanduser() for word in named.split(os.pathsep) if word)
    return paths or (user_data_path("napari-amodal", appauthor=False) / "weights",)


def locate(name: str) -> Path | None:
    """The folder or file where a weight lies, whole; None if it is not there.

    Raises
    ------
    CallError
        There is no weight of that name.
    """
    held = holding(name)
    return held.path if held.presence is Presence.THERE else None


def require(name: str) -> Path:
    """The folder or file where a weight lies.

    Raises
    ------
    CallError
        It is not there, or not whole; the message names the command that gets it.
    """
    held = holding(name)
    if held.presence is Presence.THERE and held.path is not None:
        return held.path
    raise CallError(why_not(held))


def why_not(held: Holding) -> str:
    """Why a weight cannot be used, and the command that gets it."""
    weight = held.weight
    if isinstance(weight.source, HubSource):
        remedy = f"napari-amodal weights fetch {weight.name}"
    else:
        remedy = (
            f"get {weight.source.files} from {weight.source.page}, then "
            f"napari-amodal weights import {weight.name} FOLDER"
        )
    if held.presence is Presence.INCOMPLETE:
        lacks = ", ".join(held.lacks)
        return f"the weights {weight.name!r} in {held.path} lack {lacks}: {remedy}"
    return f"the weights {weight.name!r} are not here: {remedy}"


def holding(name: str) -> Holding:
    """What is there of one weight: the first whole one, otherwise the first that is begun."""
    weight = find_weight(name)
    begun = None
    for folder in _candidates(weight):
        held = examine(weight, folder)
        if held.presence is Presence.THERE:
            return held
        if begun is None and held.presence is Presence.INCOMPLETE:
            begun = held
    return begun or Holding(weight, Presence.ABSENT)


def holdings() -> tuple[Holding, ...]:
    """What is there of every weight, in the catalogue's order."""
    return tuple(holding(name) for name in CATALOGUE)


def examine(weight: Weight, folder: Path) -> Holding:
    """What a folder holds of a weight."""
    if not folder.is_dir():
        return Holding(weight, Presence.ABSENT)
    size, lacks, found = 0, [], False
    for part in weight.parts:
        there = [folder / choice for choice in part.choices if (folder / choice).is_file()]
        if there:
            found = True
            size += there[0].stat().st_size
        elif not part.optional:
            lacks.append(part.choices[0])
    if not found:
        return Holding(weight, Presence.ABSENT)
    if lacks:
        return Holding(weight, Presence.INCOMPLETE, folder, size, tuple(lacks))
    path = folder / weight.file if weight.file else folder
    return Holding(weight, Presence.THERE, path, size)


def _candidates(weight: Weight) -> Iterator[Path]:
    """Folders in which a weight may lie: by our name, by its repository's, the hub's own cache."""
    for folder in folders():
        yield folder / weight.name
        if isinstance(weight.source, HubSource):
            yield folder / weight.source.repository.rpartition("/")[2]
    if isinstance(weight.source, HubSource):
        yield from _hub_cache(weight.source.repository)


def _hub_cache(repository: str) -> Iterator[Path]:
    """The snapshots of a repository in the Hugging Face cache, newest first."""
    snapshots = _hub_cache_folder() / f"models--{repository.replace('/', '--')}" / "snapshots"
    if snapshots.is_dir():
        yield from sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def _hub_cache_folder() -> Path:
    """Where huggingface_hub keeps its cache, by the variables that it reads."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(cache) / "huggingface").expanduser() / "hub"
