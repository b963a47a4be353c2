"""A session on the disk: a folder that a kill at any moment leaves whole; see docs/session.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_amodal.annotation.block_reader import BlockReader
from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.durable_files import flush_folder, new_file, replace_file
from napari_amodal.annotation.folder_lock import FolderLock
from napari_amodal.annotation.history import Step
from napari_amodal.annotation.json_fields import Fields
from napari_amodal.annotation.mask_blocks import Block, block_bytes, blocks_of, is_empty
from napari_amodal.annotation.session import (
    FORMAT,
    FORMAT_VERSION,
    Session,
    check_shapes,
    history_of,
    reference_of,
    session_record,
)
from napari_amodal.annotation.state_record import state_of, state_record
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.annos import read_json_object
from napari_amodal.formats.images import shown
from napari_amodal.masks import MaskStack

#: What a session's folder is called at the end of its name.
SUFFIX = ".amodal"
SESSION, STATES, BLOCKS = "session.json", "states", "blocks"


def is_session(path: Path) -> bool:
    """Whether a path is a folder with a session in it."""
    return (path / SESSION).is_file()


class SessionFolder:
    """The folder of one session, which this process alone writes to until `close`.

    `save` writes what changed since the last time. Masks and states are files that are never
    changed; ``session.json`` names those that count, and is replaced in one step once they are on
    the disk. So a kill leaves the session as it was before or after a save.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there.

    Raises
    ------
    CallError
        Another process has the session open, or the folder holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if self.folder.exists() and not is_session(self.folder) and not _is_free(self.folder):
            raise CallError(f"{folder} is there and is no session: choose another folder")
        with _told(self.folder):
            for inside in (STATES, BLOCKS):
                (self.folder / inside).mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        self._blocks: dict[Block, str] = {}
        self._stacks: dict[int, tuple[MaskStack, list[str | None]]] = {}
        self._states: dict[int, tuple[ClipAnnotation, str, frozenset[str]]] = {}
        self._saved: dict[str, Any] = {}
        self._number = _last_number(self.folder)

    def close(self) -> None:
        """Let other processes write to the folder."""
        self._lock.release()

    # -- writing ----------------------------------------------------------------------------------

    def save(self, session: Session) -> bool:
        """Write what changed since the last time; call it from one thread at a time.

        Returns
        -------
        bool
            Whether there was anything to write.

        Raises
        ------
        InputError
            The system refused (disk full, no right to write); the last good state stands.
        """
        with _told(self.folder):
            names = [self._write_state(step.state) for step in session.history.steps]
            record = session_record(session, names)
            if record == self._saved:
                return False
            for inside in (STATES, BLOCKS):
                flush_folder(self.folder / inside)
            stamp = {"saved": datetime.now(UTC).isoformat(timespec="seconds")}
            replace_file(self.folder / SESSION, _json(record | stamp))
            self._saved = record
        self._forget_all_but(session, frozenset(names))
        return True

    def _write_state(self, state: ClipAnnotation) -> str:
        known = self._states.get(id(state))
        if known is not None:
            return known[1]
        blocks: set[str] = set()

        def write(stack: MaskStack) -> list[str | None]:
            names = self._write_stack(stack)
            blocks.update(name for name in names if name is not None)
            return names

        record = state_record(state, write)
        name = self._new_file(STATES, ".json", _json(record))
        self._states[id(state)] = (state, name, frozenset(blocks))
        return name

    def _write_stack(self, stack: MaskStack) -> list[str | None]:
        known = self._stacks.get(id(stack))
        if known is not None:
            return known[1]
        names = [
            None if is_empty(block) else self._write_block(block) for block in blocks_of(stack)
        ]
        self._stacks[id(stack)] = (stack, names)
        return names

    def _write_block(self, block: Block) -> str:
        if block not in self._blocks:
            self._blocks[block] = self._new_file(BLOCKS, ".npz", block_bytes(block))
        return self._blocks[block]

    def _new_file(self, inside: str, suffix: str, data: bytes) -> str:
        """Write a file under a name that never was, and make sure that it is on the disk."""
        self._number += 1
        name = f"{self._number:08}{suffix}"
        new_file(self.folder / inside / name, data)
        return name

    def _forget_all_but(self, session: Session, states: frozenset[str]) -> None:
        """Remove files that nothing refers to any more, and forget what they held."""
        self._states = {key: kept for key, kept in self._states.items() if kept[1] in states}
        blocks = frozenset[str]().union(*(kept[2] for kept in self._states.values()))
        self._blocks = {block: name for block, name in self._blocks.items() if name in blocks}
        stacks = {
            id(stack)
            for step in session.history.steps
            for found in step.state.objects.values()
            for stack in (
                found.visible,
                found.amodal,
                found.query,
                *(hypothesis.amodal for hypothesis in found.hypotheses),
            )
        }
        self._stacks = {key: kept for key, kept in self._stacks.items() if key in stacks}
        for inside, kept_names in ((STATES, states), (BLOCKS, blocks)):
            with suppress(OSError):  # what is left is found the next time
                for path in (self.folder / inside).iterdir():
                    if path.name not in kept_names:
                        path.unlink()

    # -- reading ----------------------------------------------------------------------------------

    def load(self) -> tuple[Session, tuple[str, ...]]:
        """Read the session.

        Returns
        -------
        session : Session
        faults : tuple of str
            What was wrong, for people; steps of the history that cannot be read are left out.

        Raises
        ------
        InputError
            There is no session here, or none of its states can be read.
        """
        if not is_session(self.folder):
            raise InputError(f"{self.folder} is no session: it has no {SESSION}")
        fields = Fields(read_json_object(self.folder / SESSION), shown(self.folder / SESSION))
        if fields.text("format") != FORMAT:
            fields.fault("format", repr(FORMAT))
        if fields.whole("format_version") > FORMAT_VERSION:
            raise InputError(
                f"{self.folder} was written by a newer napari-amodal: get that to open it"
            )
        told, position = fields.objects("steps"), fields.whole("position")
        steps: dict[int, Step] = {}
        faults: list[str] = []
        read = BlockReader(self.folder / BLOCKS)
        for at, step in enumerate(told):
            try:
                steps[at] = Step(step.text("label"), step.text("at"), self._read(step, read))
            except InputError as error:
                faults.append(str(error))
        history, more = history_of(self.folder, steps, position, faults)
        session = Session(
            reference_of(fields.inner("clip")),
            history,
            fields.number("seconds"),
            MappingProxyType(dict(fields.inner("view").data)),
        )
        check_shapes(session, fields)
        self._blocks = read.names
        return session, (*faults, *more)

    def _read(self, step: Fields, read: BlockReader) -> ClipAnnotation:
        name = step.text("state")
        if Path(name).name != name:
            step.fault("state", "a name of a file")
        path = self.folder / STATES / name
        record = read_json_object(path)
        try:
            state = state_of(record, shown(path), read.stack)
        except InputError as error:
            named = path.name in str(error)
            raise error if named else InputError(f"{shown(path)}: {error}") from error
        self._states[id(state)] = (state, name, read.taken())
        return state


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def _last_number(folder: Path) -> int:
    """The highest number that a file in a session's folder has."""
    stems = (path.stem for inside in (STATES, BLOCKS) for path in (folder / inside).iterdir())
    return max((int(stem) for stem in stems if stem.isascii() and stem.isdigit()), default=0)


def _is_free(folder: Path) -> bool:
    """Whether a folder is empty, or holds what a kill left of a session that was being made."""
    ours = {STATES, BLOCKS, FolderLock.NAME, f".{SESSION}.new"}
    return folder.is_dir() and all(path.name in ours for path in folder.iterdir())


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the system refuses, in words."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the session {folder} could not be saved: {error.strerror or error}; what was saved "
            "last is kept"
        ) from error
