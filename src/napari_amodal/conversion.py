"""From one format of datasets to another, a clip at a time, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.dataset import Dataset
from napari_amodal.formats.dataset_formats import Target, recognise
from napari_amodal.formats.replacing import whole_folder

#: Clips that each process has in hand; enough that none waits for the one that puts them together.
_IN_HAND = 3


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Attributes
    ----------
    written : int
        Clips that were written.
    failed : tuple
        Names of the others, each with what is wrong.
    without_frames : tuple of str
        Clips whose frames were not found; their annotations are written.
    """

    written: int
    failed: tuple[tuple[str, str], ...]
    without_frames: tuple[str, ...]


@dataclass(frozen=True)
class _Written:
    """What a process gives back of one clip."""

    part: Any = None
    has_frames: bool = True
    wrong: str = ""


def check_places(source: Path, out: Path) -> None:
    """Raise `CallError` where writing `out` could touch what is read."""
    first, second = source.resolve(), out.resolve()
    if first == second or first.is_relative_to(second):
        raise CallError(f"{source} lies in {out}, which is to be written: choose another folder")
    if first.is_dir() and second.is_relative_to(first):
        raise CallError(f"{out} lies in {source}, which is only read: choose another folder")


def convert(
    dataset: Dataset,
    target: Target,
    out: Path,
    *,
    overwrite: bool = False,
    jobs: int | None = None,
    on_clip: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Write a dataset to the folder `out`, which appears only once it is complete.

    A clip that is broken is left out, and named in the result.

    Parameters
    ----------
    dataset : Dataset
    target : Target
    out : pathlib.Path
    overwrite : bool
        Replace a dataset that is there, in one step at the end.
    jobs : int, optional
        Processes; by default one a core.
    on_clip : callable, optional
        Called with the clips that are done and the number of all; what it raises (`Cancelled`) ends
        the conversion and leaves nothing behind.

    Raises
    ------
    CallError
        `out` is there and `overwrite` is False, or it is no dataset.
    InputError
        No clip could be converted, or the folder cannot be written (a full disk).
    """
    failed: list[tuple[str, str]] = []
    bare: list[str] = []
    with whole_folder(
        out,
        overwrite=overwrite,
        replaceable=lambda folder: recognise(folder) is not None,
        ours=frozenset(),
    ) as new:
        # In a folder of its own, which is gone before the new one gets its name.
        with (
            tempfile.TemporaryDirectory(prefix=".clips-", dir=new) as rooms,
            target.gathered(new) as gather,
        ):
            for number, found in enumerate(_all_clips(dataset, target, Path(rooms), jobs)):
                name, room = dataset.names[number], Path(rooms) / str(number)
                wrong = found.wrong or _merged(room, new)
                if wrong:
                    failed.append((name, wrong))
                else:
                    gather(found.part)
                    if not found.has_frames:
                        bare.append(name)
                if on_clip is not None:
                    on_clip(number + 1, len(dataset.names))
        if len(failed) == len(dataset.names):
            name, wrong = failed[0]
            raise InputError(f"no clip could be converted; the first, {name!r}: {wrong}")
    return Conversion(len(dataset.names) - len(failed), tuple(failed), tuple(bare))


def _all_clips(
    dataset: Dataset, target: Target, rooms: Path, jobs: int | None
) -> Iterator[_Written]:
    """Convert the clips, each to a folder of its own, and give them in order."""
    count = len(dataset.names)
    workers = min(jobs or _cores(), count)
    if workers < 2:
        for number in range(count):
            yield _write_clip(dataset, target, rooms, number)
        return
    pending: deque[Future[_Written]] = deque()
    with _pool(workers) as pool:
        for number in range(count):
            pending.append(pool.submit(_write_clip, dataset, target, rooms, number))
            if len(pending) >= _IN_HAND * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    cv2.setNumThreads(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_clip(dataset: Dataset, target: Target, rooms: Path, number: int) -> _Written:
    """Convert one clip; a full disk ends everything, anything else is the clip's own trouble."""
    room = rooms / str(number)
    room.mkdir()
    try:
        clip = dataset.read(number)
        return _Written(target.write(room, clip), clip.images is not None)
    except CallError:  # something is missing that every clip needs
        raise
    except InputError as error:
        return _Written(wrong=str(error))
    except OSError:
        raise
    except Exception as error:
        return _Written(wrong=f"{type(error).__name__}: {error}")


def _merged(room: Path, folder: Path) -> str:
    """Move the files of a clip to the dataset; what is wrong, if one of them is there already."""
    taken = _taken(room, folder)
    if taken is not None:
        return f"{taken.relative_to(folder)} is there from another clip: rename one of the two"
    _move(room, folder)
    return ""


def _taken(room: Path, folder: Path) -> Path | None:
    for path in room.iterdir():
        there = folder / path.name
        if path.is_dir() and there.is_dir():
            found = _taken(path, there)
            if found is not None:
                return found
        elif there.exists():
            return there
    return None


def _move(room: Path, folder: Path) -> None:
    for path in room.iterdir():
        there = folder / path.name
        if there.exists():
            _move(path, there)
        else:
            path.rename(there)
    room.rmdir()
