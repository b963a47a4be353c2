"""What a command shows on the console: its errors, its progress, and how it is stopped.

Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from napari_amodal.errors import CallError, Cancelled, InputError

if TYPE_CHECKING:
    from napari_amodal.progress import Progress

P = ParamSpec("P")

#: Set this variable to anything to see the traceback of an unexpected error.
DEBUG_VARIABLE = "NAPARI_AMODAL_DEBUG"

JOB_FAILED = 1
CALL_IS_WRONG = 2
#: As shells have it for a command that SIGINT ended.
STOPPED = 128 + signal.SIGINT

#: Without a terminal a line is printed each time that another of so many parts of a run is done.
_LINES = 10


def reporting(command: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of a command into one line on stderr and an exit status."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):  # the reader of a pipe has gone: not our error
            raise
        except (Cancelled, KeyboardInterrupt):
            note("stopped; nothing was written")
            raise typer.Exit(STOPPED) from None
        except CallError as error:
            raise _failure(str(error), CALL_IS_WRONG) from None
        except InputError as error:
            raise _failure(str(error), JOB_FAILED) from None
        except OSError as error:
            raise _failure(_in_words(error), JOB_FAILED) from None
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            told = f"{type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)"
            raise _failure(told, JOB_FAILED) from None

    return reported


def _failure(message: str, status: int) -> typer.Exit:
    typer.echo(typer.style("Error: ", fg="red", bold=True) + message, err=True)
    return typer.Exit(status)


def _in_words(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def note(message: str) -> None:
    """Tell something that is not the result."""
    typer.echo(message, err=True)


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Give an `is_cancelled` that Ctrl-C sets to True; a second Ctrl-C raises at once."""
    stop = threading.Event()

    def on_interrupt(_signal: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_shown() -> Iterator[Callable[[Progress], None]]:
    """Give a callback that shows progress: a bar on a terminal, otherwise a line now and then."""
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("starting", total=1.0, left="")

        def show(progress: Progress) -> None:
            if progress.note:
                bars.console.print(progress.note, highlight=False, markup=False)
            left = _time_left(progress)
            bars.update(task, completed=progress.fraction, description=progress.title, left=left)

        yield show


class _ProgressLines:
    """Prints a line at each new stage and at each further tenth of the run."""

    def __init__(self) -> None:
        self._stage = ""
        self._parts = 0

    def __call__(self, progress: Progress) -> None:
        if progress.note:
            note(progress.note)
            return
        parts = round(progress.fraction * 100) * _LINES // 100
        if progress.stage == self._stage and parts == self._parts:
            return
        self._stage, self._parts = progress.stage, parts
        left = _time_left(progress)
        note(f"{progress.fraction:4.0%}  {progress.title}" + (f", {left}" if left else ""))


def _time_left(progress: Progress) -> str:
    if progress.seconds_left is None or round(progress.seconds_left) < 1:
        return ""
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left"
