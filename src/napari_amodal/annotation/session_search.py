"""Where sessions lie, and which there are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_amodal.annotation.clip_reference import ClipReference
from napari_amodal.annotation.durable_files import replace_file
from napari_amodal.annotation.folder_lock import FolderLock
from napari_amodal.annotation.json_fields import Fields
from napari_amodal.annotation.session import reference_of
from napari_amodal.annotation.session_folder import SESSION, SUFFIX, SessionFolder, is_session
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.annos import read_json_object
from napari_amodal.formats.images import shown

#: All sessions are kept in this folder where it is set, instead of beside their clips.
PLACE_VARIABLE = "NAPARI_AMODAL_SESSIONS"
#: Key of a session's view: whether the window was closed in order.
CLOSED = "closed"


@dataclass(frozen=True)
class FoundSession:
    """A session on the disk, as far as its first page tells.

    Attributes
    ----------
    folder : pathlib.Path
    clip : ClipReference
    saved : str
        When, UTC, ISO 8601.
    steps : int
        How many there are in its history, the beginning not counted.
    seconds : float
        Time that people spent on it.
    is_closed : bool
        Whether its window was closed in order.
    """

    folder: Path
    clip: ClipReference
    saved: str
    steps: int
    seconds: float
    is_closed: bool


def look_into(folder: Path) -> FoundSession:
    """What a session's folder holds; `InputError` where it is none or broken."""
    if not is_session(folder):
        raise InputError(f"{folder} is no session: it has no {SESSION}")
    fields = Fields(read_json_object(folder / SESSION), shown(folder / SESSION))
    view = fields.inner("view").data
    return FoundSession(
        folder,
        reference_of(fields.inner("clip")),
        fields.text("saved"),
        len(fields.entries("steps")) - 1,
        fields.number("seconds"),
        view.get(CLOSED) is True,
    )


def sessions_of(reference: ClipReference) -> list[FoundSession]:
    """The sessions of a clip, the one that was saved last first."""
    found = []
    for place in _places(reference):
        with suppress(OSError):
            for folder in sorted(place.glob(f"*{SUFFIX}")):
                with suppress(InputError):
                    session = look_into(folder)
                    if _is_of(session.clip, reference):
                        found.append(session)
    return sorted(found, key=lambda session: session.saved, reverse=True)


def new_session_folder(reference: ClipReference) -> SessionFolder:
    """A folder for a new session: beside the clip, or where data of programs is kept.

    Raises
    ------
    InputError
        No such place can be written to.
    """
    fault = ""
    for place in _places(reference):
        for folder in _free_names(place, reference.name):
            try:
                place.mkdir(parents=True, exist_ok=True)
                folder.mkdir()
                return SessionFolder(folder)
            except FileExistsError:
                continue
            except (OSError, InputError) as error:
                fault = str(error)
                break
    raise InputError(f"the session can be saved nowhere: {fault}; set {PLACE_VARIABLE} to a folder")


def is_in_use(folder: Path) -> bool:
    """Whether a process has a session open."""
    try:
        FolderLock(folder).release()
    except CallError:
        return True
    except OSError:
        return False
    return False


def remember(folder: Path) -> None:
    """Note that a session was worked on, for `unfinished`."""
    known = _known_sessions()
    name = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    with suppress(OSError):
        known.mkdir(parents=True, exist_ok=True)
        replace_file(known / f"{name}.json", json.dumps({"folder": str(folder)}).encode())


def unfinished() -> FoundSession | None:
    """The latest session whose window ended without being closed; None where all were."""
    found = []
    for path in _known_sessions().glob("*.json"):
        with suppress(InputError, OSError):
            folder = Path(Fields(read_json_object(path), str(path)).text("folder"))
            if not is_session(folder):
                path.unlink()
                continue
            session = look_into(folder)
            if not session.is_closed and session.steps and not is_in_use(folder):
                found.append(session)
    return max(found, key=lambda session: session.saved, default=None)


def _known_sessions() -> Path:
    return _data() / "known_sessions"


def _data() -> Path:
    chosen = os.environ.get(PLACE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-amodal") / "sessions"


def _places(reference: ClipReference) -> Iterator[Path]:
    """Where sessions of a clip are kept and looked for, the best first."""
    if reference.path is not None and not os.environ.get(PLACE_VARIABLE):
        beside = Path(reference.path).parent
        if os.access(beside, os.W_OK | os.X_OK):
            yield beside
    yield _data()


def _free_names(place: Path, name: str) -> Iterator[Path]:
    yield place / f"{name}{SUFFIX}"
    for number in range(2, 1000):
        yield place / f"{name}-{number}{SUFFIX}"


def _is_of(session: ClipReference, clip: ClipReference) -> bool:
    return session.shape == clip.shape and session.fingerprint == clip.fingerprint
