"""A record of a weight's files beside them: where they came from, their sizes and hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_amodal.errors import InputError

MANIFEST = "napari-amodal-weights.json"

_CHUNK = 1 << 22


@dataclass(frozen=True)
class FileRecord:
    """One file: its size in bytes and its sha256 in hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What was stored under a weight's name.

    Attributes
    ----------
    weight : str
    source : str
        Repository and commit, or the files that were imported, with their hashes.
    licence : str
    files : mapping of str to FileRecord
        By name inside the folder.
    """

    weight: str
    source: str
    licence: str
    files: Mapping[str, FileRecord]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the record into a weight's folder, beside first and then renamed."""
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest | None:
    """The record of a folder; None if it has none.

    Raises
    ------
    InputError
        It has one that cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        files = {name: FileRecord(**record) for name, record in found.pop("files").items()}
        return Manifest(**found, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no record of weights: {error}; remove {folder}") from error


def record(path: Path, on_bytes: Callable[[int], None] | None = None) -> FileRecord:
    """Size and hash of a file; `on_bytes` is told how many more bytes have been read."""
    return FileRecord(path.stat().st_size, digest(path, "sha256", on_bytes))


def digest(path: Path, algorithm: str, on_bytes: Callable[[int], None] | None = None) -> str:
    """The hash of a file, or git's hash of it as a blob if `algorithm` is ``git``."""
    if algorithm == "git":
        found = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        found = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            if on_bytes is not None:
                on_bytes(len(chunk))
    return found.hexdigest()


def wrong_files(folder: Path, on_bytes: Callable[[int], None] | None = None) -> list[str]:
    """What of a folder differs from its record, in words; a folder without one is not judged."""
    manifest = read_manifest(folder)
    if manifest is None:
        return []
    wrong = []
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is gone")
        elif path.stat().st_size != expected.size:
            wrong.append(f"{name} has {path.stat().st_size} bytes instead of {expected.size}")
        elif digest(path, "sha256", on_bytes) != expected.sha256:
            wrong.append(f"{name} has other contents than were stored")
    return wrong
