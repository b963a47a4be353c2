"""How the clips of a set ended."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from napari_amodal.errors import Cancelled, InputError


class Status(StrEnum):
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How a clip ended.

    Attributes
    ----------
    clip : str
    status : Status
    frames : int
        0 where it was not run.
    seconds : float
        Reading and writing included.
    reason : str
        Why it failed, in a line; empty otherwise.
    trace : str
        The traceback of an error that nobody foresaw.
    note : str
        What a person should know of a clip that is done; empty mostly.
    """

    clip: str
    status: Status
    frames: int = 0
    seconds: float = 0.0
    reason: str = ""
    trace: str = ""
    note: str = ""


@dataclass(frozen=True)
class Worked:
    """What the work on a clip gave: its number of frames, and a note or nothing."""

    frames: int
    note: str = ""


def outcome_of(clip: str, work: Callable[[], Worked | None]) -> Outcome:
    """How the work on a clip ends, None for one that was done before; a failure is not raised.

    Raises
    ------
    Cancelled
        As the work does.
    """
    started = time.monotonic()
    try:
        worked = work()
    except Cancelled:
        raise
    except (InputError, OSError) as error:
        return Outcome(clip, Status.FAILED, 0, time.monotonic() - started, str(error))
    except Exception as error:  # the others go on, whatever was raised
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        spent = time.monotonic() - started
        return Outcome(clip, Status.FAILED, 0, spent, told, traceback.format_exc())
    if worked is None:
        return Outcome(clip, Status.SKIPPED)
    seconds = time.monotonic() - started
    return Outcome(clip, Status.DONE, worked.frames, seconds, note=worked.note)
