"""Folders of one's own: checked, then linked or copied into the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from napari_amodal.errors import CallError, InputError
from napari_amodal.progress import Watch
from napari_amodal.weights.catalogue import CATALOGUE, Weight
from napari_amodal.weights.manifest import Manifest, record, write_manifest
from napari_amodal.weights.safetensors_file import read_header
from napari_amodal.weights.store import Presence, examine, new_folder, parts_in

#: Where a network of transformers' layout lies.
_NETWORK = "model.safetensors"
#: How near the bytes of a network come to what is published of its size.
_SAME_SIZE = 0.05

#: Files that hold a network as a pickle.
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def adopt(
    weight: Weight, source: Path, watch: Watch, *, copy: bool = False, replace: bool = False
) -> None:
    """Take a folder of the weight's layout into the store.

    Parameters
    ----------
    source : pathlib.Path
        It stays as it is.
    copy : bool
        Copy the files; otherwise the store holds links to them.
    replace : bool
        Replace what the store has of this weight.

    Raises
    ------
    CallError
        The folder is not there, lacks files, or holds another network.
    InputError
        A file is not what its name says, or the store cannot be written.
    """
    if not source.is_dir():
        raise CallError(f"{source} is not a folder that is there")
    held = examine(weight, source)
    if held.presence is not Presence.THERE:
        raise CallError(_not_of_its_layout(weight, source, held.lacks))
    found = parts_in(weight, source)
    for path in found.values():
        if path.suffix == ".safetensors":
            read_header(path)
    check_kind(weight, found)
    with new_folder(weight, replace=replace) as folder:
        watch.enter(f"{weight.name}: {'copying' if copy else 'checking'}", 0, 1)
        records, done = {}, 0
        for name, path in found.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if copy:
                shutil.copyfile(path, target)
            else:
                _link(target, path)
            counted = _Counted(watch, done, held.size)
            records[name] = record(target, counted.add)
            done = counted.done
        licence = weight.licence.name
        write_manifest(folder, Manifest(weight.name, str(source.absolute()), licence, records))


def check_kind(weight: Weight, found: Mapping[str, Path]) -> None:
    """Refuse another network, or another of the network's published sizes.

    Parameters
    ----------
    found : mapping of str to pathlib.Path
        The weight's files by their names in the store.

    Raises
    ------
    CallError
        It is another one; the message says which, where it is known.
    InputError
        A description in it cannot be read.
    """
    for mark in weight.marks:
        said = _said(found[mark.file], mark.key)
        if said not in mark.values:
            raise CallError(
                f"{found[mark.file]} describes another network than {weight.name}: its {mark.key} "
                f"is {said}, not {mark.values[0]}"
            )
    network = found.get(_NETWORK)
    if network is None:
        return
    size = network.stat().st_size
    family = [one for one in CATALOGUE.values() if one.marks == weight.marks]
    for other in family:
        if other is not weight and abs(size / other.size - 1) < _SAME_SIZE:
            raise CallError(f"{network} is {other.title.split(':')[0]}: import it as {other.name}")


def _said(description: Path, key: str) -> object:
    try:
        return json.loads(description.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{description} cannot be read as JSON: {error}") from error


class _Counted:
    """Reports bytes as they are read."""

    def __init__(self, watch: Watch, done: int, total: int) -> None:
        self.done = done
        self._watch, self._total = watch, total

    def add(self, count: int) -> None:
        self.done += count
        self._watch.step(self.done, self._total)


def _link(link: Path, file: Path) -> None:
    try:
        link.symlink_to(file.absolute())
    except OSError as error:
        raise InputError(
            f"{link} could not be made a link to {file}: {error}; say --copy to copy it"
        ) from error


def _not_of_its_layout(weight: Weight, source: Path, lacks: tuple[str, ...]) -> str:
    needed = lacks or tuple(p.choices[0] for p in weight.parts if not p.optional)
    told = f"{source} does not hold {weight.name}: it lacks {', '.join(needed)}"
    pickles = sorted(p.relative_to(source) for glob in _PICKLES for p in source.rglob(glob))
    if pickles and any(name.endswith(".safetensors") for name in needed):
        told += (
            f" ({pickles[0]} is a pickle file, which may run code and is not opened; take the "
            "same network as safetensors)"
        )
    return told
