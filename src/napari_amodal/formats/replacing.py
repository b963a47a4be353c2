"""Writing a folder so that it is there whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_amodal.errors import CallError, InputError

_EXCHANGE = 2  # RENAME_EXCHANGE of Linux' renameat2, RENAME_SWAP of macOS' renamex_np
_AT_FDCWD = -100

#: From so many files on, the whole disk is flushed instead of each of them.
_MANY = 2000


@contextmanager
def whole_folder(
    folder: Path, *, overwrite: bool, replaceable: Callable[[Path], bool], ours: frozenset[str]
) -> Iterator[Path]:
    """An empty folder to write into, which takes its place when the block ends well.

    The new folder is written beside as ``.NAME.partial-PID-...`` and flushed to the disk. Where the
    old one is to be replaced, the two are exchanged in one step where the system can (Linux,
    macOS); otherwise the old one is first renamed to ``.NAME.replaced-PID-...``. So a kill at any
    moment leaves the old folder or the new one, whole. What a killed process left is found the next
    time that the folder is written: a folder that was moved aside goes back to its place,
    everything else is removed.

    Parameters
    ----------
    folder : pathlib.Path
        Its parent is made if it is not there.
    overwrite : bool
        Whether a folder that is there may be replaced.
    replaceable : callable
        Whether a folder that is there is one of those that we write.
    ours : frozenset of str
        Names of what we write inside; anything else that lies in the old folder moves over.

    Raises
    ------
    CallError
        The folder is there and may not be replaced.
    InputError
        The system refused (disk full, no right to write); nothing is changed then.
    """
    folder = Path(os.path.realpath(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder, ours)
    except OSError as error:
        raise InputError(_refusal(folder, error)) from error
    if folder.exists():
        _check_replaceable(folder, overwrite, replaceable)
    partial = None
    try:
        partial = Path(tempfile.mkdtemp(prefix=_prefix(folder, "partial"), dir=folder.parent))
        partial.chmod(0o777 & ~_umask())
        yield partial
        _flush(partial)
        _put_in_place(partial, folder, ours)
    except OSError as error:
        raise InputError(_refusal(folder, error)) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _refusal(folder: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename and not Path(error.filename).is_relative_to(folder.parent):
        reason += f" ({error.filename})"
    remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see to that"
    return (
        f"{folder} could not be written: {reason}; nothing was changed there, {remedy} or choose "
        "another folder"
    )


def _check_replaceable(folder: Path, overwrite: bool, replaceable: Callable[[Path], bool]) -> None:
    if not overwrite:
        raise CallError(
            f"{folder} is there already: choose another folder, or replace it (--overwrite)"
        )
    empty = folder.is_dir() and not any(folder.iterdir())
    if not (empty or replaceable(folder)):
        raise CallError(f"{folder} is there and is no clip folder: choose another folder")


def _prefix(folder: Path, what: str) -> str:
    return f".{folder.name}.{what}-{os.getpid()}-"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(folder: Path) -> None:
    """Make sure that all files of a folder are on the disk before the folder is given its name."""
    paths = (*folder.rglob("*"), folder)
    if len(paths) > _MANY and sys.platform == "linux":
        os.sync()  # one by one, a data set of 1,000 clips would take ten minutes
        return
    for path in paths:
        if path.is_dir() and os.name != "posix":
            continue  # Windows opens no folders
        descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(partial: Path, folder: Path, ours: frozenset[str]) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=_prefix(folder, "replaced"), dir=folder.parent))
    aside.rmdir()
    # Under this name whichever of the two is left over by a kill is treated as an old folder.
    partial.rename(aside)
    if not _exchange(aside, folder):
        aside.rename(partial)
        folder.rename(aside)
        try:
            partial.rename(folder)
        except OSError:
            aside.rename(folder)
            raise
    _retire(aside, folder, ours)


def _retire(old: Path, folder: Path, ours: frozenset[str]) -> None:
    """Remove the old folder; what we did not write moves over to the new one."""
    with suppress(OSError):  # the new folder stands; what is left is found the next time
        for path in old.iterdir():
            if path.name not in ours and not (folder / path.name).exists():
                path.rename(folder / path.name)
        shutil.rmtree(old)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; False where the system has no such call."""
    libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    paths = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin":
        call = getattr(libc, "renamex_np", None)
        return call is not None and call(*paths, _EXCHANGE) == 0
    call = getattr(libc, "renameat2", None)
    return call is not None and call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _EXCHANGE) == 0


def _recover(folder: Path, ours: frozenset[str]) -> None:
    """Put right what processes that were killed left beside a folder."""
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.(partial|replaced)-([0-9]+)-.*")
    for path in sorted(folder.parent.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or not path.is_dir() or _is_running(int(match[2])):
            continue
        if match[1] == "partial":
            shutil.rmtree(path, ignore_errors=True)
        elif folder.exists():
            _retire(path, folder, ours)
        else:
            path.rename(folder)


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # asking would end it there; what is left is hidden and harmless
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
