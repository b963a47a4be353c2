"""A panel that does one job at a time, in a worker, and says how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.errors import Cancelled, InputError
from napari_amodal.widgets.background_job import BackgroundJob

TICK_MS = 40

Job = BackgroundJob[Any]


class OneJob(QObject):
    """A job and the line that is said of it.

    Signals
    -------
    changed
        A job began or ended, or the line is another.
    progressed
        The job has gone on.
    """

    changed = Signal()
    progressed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.status = ""
        self.job: Job | None = None
        self._then: Callable[[Any], None] = lambda result: None
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def is_busy(self) -> bool:
        return self.job is not None

    def cancel(self) -> None:
        """Stop the job; it ends within a second."""
        if self.job is not None:
            self.job.cancel()
            self.say("Cancelling …")

    def start(self, told: str, work: Callable[[Job], Any], then: Callable[[Any], None]) -> None:
        """Do `work` in a worker, and then `then` with its result, in the window's thread.

        `told` is said meanwhile. Nothing happens while another job runs.
        """
        if self.is_busy:
            return
        self.job, self._then = BackgroundJob(work), then
        self.destroyed.connect(self.job.cancel)  # the panel or the window is closed
        self.job.start()
        self._timer.start()
        self.say(told)

    def _tick(self) -> None:
        job = self.job
        if job is None:
            self._timer.stop()
        elif job.is_alive:
            self.progressed.emit()
        else:
            self.job = None
            self._timer.stop()
            self._end(job)

    def _end(self, job: Job) -> None:
        if job.error is None:
            self._then(job.result)
        elif isinstance(job.error, Cancelled):
            self.say("Cancelled")
        elif isinstance(job.error, InputError):
            self.say(str(job.error))
            show_error(str(job.error))
        else:
            self.say(f"{type(job.error).__name__}: {job.error}")
            notification_manager.receive_error(type(job.error), job.error, job.error.__traceback__)
        self.changed.emit()

    def say(self, status: str) -> None:
        """Show a line to the person."""
        self.status = status
        self.changed.emit()
