"""Progress, time left and cancelling of one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from napari_amodal.errors import Cancelled
from napari_amodal.masks import Mask


@dataclass(frozen=True)
class FrameMask:
    """A mask that a stage has just finished, for showing it while the run goes on."""

    kind: Literal["visible", "amodal"]
    object_id: int
    frame: int
    mask: Mask


@dataclass(frozen=True)
class Progress:
    """What a run reports.

    Attributes
    ----------
    stage : str
        What is being done, in words.
    done, total : int
        Steps of this stage.
    fraction : float
        Share of the whole run that is done, 0..1.
    seconds_left : float or None
        Time to the end of the run; None while it cannot be told.
    mask : FrameMask or None
        A mask that became ready with this step.
    detail : str
        What of the stage is being done, in words; may be empty.
    note : str
        Something that people are to be told, once; empty in all other reports.
    """

    stage: str
    done: int
    total: int
    fraction: float
    seconds_left: float | None
    mask: FrameMask | None = None
    detail: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """Stage and detail in a line."""
        return f"{self.stage}: {self.detail}" if self.detail else self.stage


class Watch:
    """What a stage holds of the run that it is part of: it reports steps and learns of a cancel.

    Parameters
    ----------
    on_progress : callable or None
        Called with each `Progress`, in the thread of the run.
    is_cancelled : callable or None
        Asked at every step; the run ends with `Cancelled` once it says True.
    """

    #: No time left is told before this much of the run is done: it would jump about.
    FIRST_ESTIMATE_AT = 0.02

    def __init__(
        self,
        on_progress: Callable[[Progress], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._stage = ""
        self._before = 0.0
        self._share = 1.0
        self._started = self._entered = time.monotonic()
        self._last = Progress("", 0, 1, 0.0, None)

    def enter(self, stage: str, before: float, share: float) -> None:
        """Begin a stage that takes `share` of the run after `before` of it are done (0..1)."""
        self._stage, self._before, self._share = stage, before, share
        self._entered = time.monotonic()
        self.step(0, 1)

    def check(self) -> None:
        """Raise `Cancelled` if the run is to stop; call it at least every half second."""
        if self._is_cancelled is not None and self._is_cancelled():
            raise Cancelled("the run was cancelled")

    def step(self, done: int, total: int, mask: FrameMask | None = None, detail: str = "") -> None:
        """Report that `done` of the stage's `total` steps are over; raises `Cancelled`."""
        self.check()
        if self._on_progress is None:
            return
        part = done / max(total, 1)
        fraction = min(1.0, self._before + self._share * part)
        left = self._seconds_left(fraction, part)
        self._last = Progress(self._stage, done, total, fraction, left, mask, detail)
        self._on_progress(self._last)

    def note(self, note: str) -> None:
        """Tell people something that they should know of the run, beside its progress."""
        self.check()
        if self._on_progress is not None:
            self._on_progress(replace(self._last, mask=None, note=note))

    def _seconds_left(self, fraction: float, part: float) -> float | None:
        """By the pace of the stage itself, once it has one: the stages' shares are rough."""
        if fraction < self.FIRST_ESTIMATE_AT:
            return None
        now = time.monotonic()
        per_whole = (now - self._started) / fraction
        if part < self.FIRST_ESTIMATE_AT:
            return per_whole * (1 - fraction)
        later = max(0.0, 1 - self._before - self._share)
        return (now - self._entered) * (1 - part) / part + per_whole * later
