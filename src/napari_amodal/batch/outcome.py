"""How the clips of a set ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
