"""What a clip was made from, as its record has it: the place of each input, a stamp of its files.

Sizes and times are looked at, not contents: a set is to be planned in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_amodal.errors import InputError
from napari_amodal.formats.images import image_files

#: The key of a record under which its inputs stand.
INPUTS = "inputs"


@dataclass(frozen=True)
class Input:
    """A file or a folder that something was made from.

    Attributes
    ----------
    path : str
        Absolute, links resolved.
    files : int
        How many were looked at; 0 where it is gone or cannot be read.
    stamp : str
        Follows from their names, sizes and times of change.
    """

    path: str
    files: int
    stamp: str


def input_of(path: Path, folders: tuple[str, ...] = ("",)) -> Input:
    """A file as it is now, or the images in these folders of a folder."""
    digest, count = hashlib.sha256(), 0
    try:
        place = path.resolve()
        for name, file in _files(place, folders):
            found = file.stat()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
            count += 1
    except (
        InputError,
        OSError,
        RuntimeError,
        ValueError,
    ):  # whoever reads it says what is wrong with it
        return Input(str(path), 0, "")
    return Input(str(place), count, digest.hexdigest()[:16])


def _files(place: Path, folders: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    if place.is_file():
        yield place.name, place
    for folder in folders:
        if (place / folder).is_dir():
            for file in image_files(place / folder):
                yield f"{folder}/{file.name}", file


def as_record(inputs: Mapping[str, Input]) -> dict[str, Any]:
    """Inputs by what they are, as JSON has them."""
    return {what: asdict(one) for what, one in inputs.items()}


def changed_input(record: Mapping[str, Any], now: Mapping[str, Input]) -> str:
    """What differs from the inputs that a record names, in words; empty where nothing does.

    A record of an older version names none, and an input that is gone since cannot be compared.
    """
    before = record.get(INPUTS)
    if not isinstance(before, dict):
        return ""
    for what, one in now.items():
        was = before.get(what)
        if not isinstance(was, dict):
            continue
        if was.get("path") != one.path:
            return f"{what} was {was.get('path')}, not {one.path}"
        if one.files and was.get("stamp") != one.stamp:
            return f"{what} {one.path} has changed since"
    return ""
