"""Which clip a session belongs to: its path, and how it is known again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.formats.images import image_files
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import FRAMES, is_tabe51

#: So much of the beginning and of the end of a file tells it from another one, bytes.
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class ClipReference:
    """A clip as a session remembers it.

    Attributes
    ----------
    name : str
    path : str or None
        Where it was, absolute; None for an array that came from no file.
    shape : tuple of int
        ``(T, H, W)``.
    fingerprint : str
        Of the files' sizes and contents (`fingerprint_of`).
    """

    name: str
    path: str | None
    shape: tuple[int, int, int]
    fingerprint: str


def reference_to(clip: Clip) -> ClipReference:
    """Remember a clip; reads some of its file or files."""
    path = None if clip.source is None else str(clip.source.absolute())
    shape = (len(clip), clip.height, clip.width)
    return ClipReference(clip.name, path, shape, fingerprint_of(clip))


def fingerprint_of(clip: Clip) -> str:
    """What tells a clip from another, 32 hexadecimal digits.

    For a file: its size, first and last megabyte. For a folder: names and sizes of all images, and
    those parts of the first and the last. For an array: its first and last frame.
    """
    digest = hashlib.blake2b(digest_size=16)
    source = clip.source
    if source is None or not source.exists():
        for frame in (0, len(clip) - 1):
            digest.update(clip.frame(frame).tobytes())
        return digest.hexdigest()
    folder = source / FRAMES if is_tabe51(source) else source
    files = image_files(folder) if folder.is_dir() else (source,)
    for path in files:
        name = path.name if len(files) > 1 else ""  # a video may be renamed
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
    for path in (files[0], files[-1]):
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            file.seek(-min(_SAMPLE, path.stat().st_size), os.SEEK_END)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def find_clip(reference: ClipReference, session: Path, at: Path | None = None) -> Clip:
    """Open the clip that a session belongs to.

    Parameters
    ----------
    reference : ClipReference
    session : pathlib.Path
        The session's folder: a clip that moved together with it is found beside it.
    at : pathlib.Path, optional
        Where the clip is now, if it moved.

    Raises
    ------
    InputError
        The clip is not there any more, or is another one; the message says what to do.
    """
    if reference.path is None and at is None:
        raise InputError(
            f"the session {session} belongs to the array {reference.name!r}, which came from no "
            "file: open it, and the session with it"
        )
    path = at if at is not None else _place(Path(reference.path or ""), session)
    if path is None:
        raise InputError(
            f"the session {session} belongs to {reference.path}, which is not there any more: put "
            "it back, or say where it is now"
        )
    clip = open_clip(path)
    check_is(reference, clip)
    return clip


def check_is(reference: ClipReference, clip: Clip) -> None:
    """Raise `InputError` if a clip is not the one that is meant, or has changed."""
    source = clip.source or clip.name
    shape = (len(clip), clip.height, clip.width)
    if shape != reference.shape:
        raise InputError(
            f"{source} has {_told(shape)}, the session's clip {reference.name!r} had "
            f"{_told(reference.shape)}: it changed since, or is another clip; give the right one"
        )
    if fingerprint_of(clip) != reference.fingerprint:
        raise InputError(
            f"{source} is not what it was when the session was made: it changed since, or is "
            f"another clip than {reference.name!r}; give the right one"
        )


def _place(path: Path, session: Path) -> Path | None:
    """Where a clip is: at its path, or beside the session's folder."""
    places = (path, session.absolute().parent / path.name)
    return next((place for place in places if place.exists()), None)


def _told(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"
