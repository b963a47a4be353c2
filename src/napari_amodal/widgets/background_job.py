"""Work in a thread of its own, asked about from the thread of the window."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_amodal.errors import Cancelled
from napari_amodal.masks import PackedMask
from napari_amodal.progress import FrameMask, Progress

Result = TypeVar("Result")


@dataclass(frozen=True)
class ReadyMask:
    """A mask that a stage has finished, packed in the worker thread."""

    kind: str
    object_id: int
    frame: int
    mask: PackedMask

    @classmethod
    def of(cls, ready: FrameMask) -> ReadyMask:
        return cls(ready.kind, ready.object_id, ready.frame, PackedMask.of(ready.mask))


class BackgroundJob(Generic[Result]):
    """One piece of work in a daemon thread.

    It holds nothing of Qt, so that it may outlive the window that started it.

    Parameters
    ----------
    work : callable
        Called with the job in its thread; what it returns or raises is kept for the window.
    """

    def __init__(self, work: Callable[[BackgroundJob[Result]], Result]) -> None:
        self._work = work
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="napari-amodal", daemon=True)
        #: Masks that wait to be shown, oldest first.
        self.masks: deque[ReadyMask] = deque()
        #: What people are to be told, oldest first.
        self.notes: deque[str] = deque()
        #: The latest report; None before the first.
        self.progress: Progress | None = None
        self.result: Result | None = None
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        self._cancel.set()

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def check(self) -> None:
        """Raise `Cancelled` in the work once it is to stop."""
        if self.is_cancelled():
            raise Cancelled("the run was cancelled")

    def report(self, progress: Progress) -> None:
        """Take a report in the work's thread."""
        if progress.mask is not None:
            self.masks.append(ReadyMask.of(progress.mask))
        if progress.note:
            self.notes.append(progress.note)
        self.progress = progress

    def _run(self) -> None:
        try:
            self.result = self._work(self)
        except BaseException as error:  # the window says it, whatever it is
            self.error = error
