"""Where weights lie, and which of them are there. Nothing here reaches for a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from platformdirs import user_data_path

from napari_amodal.errors import CallError, InputError
from napari_amodal.weights.catalogue import CATALOGUE, HubSource, Weight, find_weight
from napari_amodal.weights.manifest import read_manifest, wrong_files
from napari_amodal.weights.safetensors_file import read_header

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
    folder : pathlib.Path or None
        The folder that holds it, or the beginning of it.
    size : int
        Bytes of its files.
    lacks : tuple of str
        Files that an incomplete one still needs.
    """

    weight: Weight
    presence: Presence
    folder: Path | None = None
    size: int = 0
    lacks: tuple[str, ...] = ()

    @property
    def path(self) -> Path | None:
        """The file or folder that stages read; None unless all of it is there."""
        if self.presence is not Presence.THERE or self.folder is None:
            return None
        return self.folder / self.weight.file if self.weight.file else self.folder


def folders() -> tuple[Path, ...]:
    """The folders that are searched, in this order; what is fetched goes to the first."""
    named = os.environ.get(FOLDERS_VARIABLE, "")
    paths = tuple(Path(word).expanduser().absolute() for word in named.split(os.pathsep) if word)
    return paths or (user_data_path("napari-amodal", appauthor=False) / "weights",)


def locate(name: str) -> Path | None:
    """The folder or file where a weight lies, whole; None if it is not there.

    Raises
    ------
    CallError
        There is no weight of that name.
    """
    return holding(name).path


def require(name: str) -> Path:
    """The folder or file where a weight lies.

    Raises
    ------
    CallError
        It is not there, or not whole; the message names the command that gets it.
    """
    held = holding(name)
    if held.path is None:
        raise CallError(why_not(held))
    return held.path


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
        return f"the weights {weight.name!r} in {held.folder} lack {lacks}: {remedy}"
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
    """What a folder holds of a weight, judged by names and recorded sizes."""
    found, lacks = parts_in(weight, folder), []
    if not found:
        return Holding(weight, Presence.ABSENT)
    for part in weight.parts:
        if not part.optional and part.choices[0] not in found:
            lacks.append(part.choices[0])
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in found.values()}
    manifest = read_manifest(folder)
    for name, expected in manifest.files.items() if manifest else ():
        if name in sizes and sizes[name] != expected.size:
            lacks.append(f"the whole of {name}")
    presence = Presence.INCOMPLETE if lacks else Presence.THERE
    return Holding(weight, presence, folder, sum(sizes.values()), tuple(lacks))


def parts_in(weight: Weight, folder: Path) -> dict[str, Path]:
    """The files of a weight that a folder has, by the first name of their part."""
    found = {}
    for part in weight.parts:
        there = [folder / name for name in part.choices if (folder / name).is_file()]
        if there:
            found[part.choices[0]] = there[0]
    return found


def variant(folder: Path) -> str | None:
    """What diffusers and transformers want as `variant` for one network's folder.

    Parameters
    ----------
    folder : pathlib.Path
        For instance ``require("stable-diffusion-inpainting") / "vae"``.

    Returns
    -------
    str or None
        ``fp16`` if the network is there in half precision only. What we fetched or imported
        ourselves has no variants.
    """
    files = list(folder.glob("*.safetensors"))
    return "fp16" if files and all(".fp16." in file.name for file in files) else None


def check(held: Holding, on_bytes: Callable[[int], None] | None = None) -> list[str]:
    """Read all files of what is there, and tell what is wrong with them.

    Against the record of hashes where there is one (what was fetched or imported here); of other
    folders only the structure of the safetensors files is checked.
    """
    if held.folder is None:
        return []
    wrong = wrong_files(held.folder, on_bytes)
    if not wrong:
        for path in parts_in(held.weight, held.folder).values():
            if path.suffix == ".safetensors":
                try:
                    read_header(path)
                except InputError as error:
                    wrong.append(str(error))
    return wrong


@contextmanager
def new_folder(weight: Weight, *, replace: bool = False, resume: bool = False) -> Iterator[Path]:
    """A folder to put a weight's files in, which takes its place when the block ends well.

    Parameters
    ----------
    replace : bool
        Replace the weight if it is there already.
    resume : bool
        Keep what a block that fails has put there, and give it to the next one.

    Raises
    ------
    CallError
        The weight is there already and is not to be replaced.
    InputError
        The system refused (disk full, no right to write).
    """
    target = folders()[0] / weight.name
    if not replace and examine(weight, target).presence is Presence.THERE:
        raise CallError(f"{target} is there already: say --replace to get it anew")
    partial = target.with_name(f".{target.name}.partial")
    try:
        if not resume:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        _put_in_place(partial, target)
    except OSError as error:
        raise InputError(f"{target} could not be written: {error}") from error
    finally:
        if not resume:
            shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


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
    """Where huggingface_hub keeps its cache, by the variables that it reads.

    The library itself is not asked: it need not be installed to use what lies there.
    """
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(cache) / "huggingface").expanduser() / "hub"
