"""Follows jobs from the window's thread: what they find, how they end."""

from __future__ import annotations

from napari.utils.notifications import notification_manager, show_error, show_warning
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.engine import Completion
from napari_amodal.errors import Cancelled, InputError
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.completion_run import CompletionRun, Job
from napari_amodal.widgets.export_job import ExportJob
from napari_amodal.widgets.layer_origin import LayerOrigin
from napari_amodal.widgets.mask_layers import MaskLayers

#: How often the window looks for news of a job (ms).
TICK_MS = 40


class JobControl(QObject):
    """Follows a run or an update; what it finds is shown as it comes and is one step in the end.

    Signals
    -------
    told : str
        What is to be said about the job; empty where nothing is.
    progressed : Progress
        A report of the running job.
    ended
        The job is over, and the layers show what it found.
    """

    told = Signal(str)
    progressed = Signal(object)
    ended = Signal()

    def __init__(
        self, annotation: AnnotationModel, layers: MaskLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.job: Job | None = None
        self.completion: Completion | None = None
        self._annotation = annotation
        self._layers = layers
        self._stop_reason = ""
        self._is_ended = False
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def is_busy(self) -> bool:
        return self.job is not None

    @property
    def is_cancelling(self) -> bool:
        return self.job is not None and self.job.job.is_cancelled()

    def start(self, job: Job) -> None:
        self.job = job
        self._stop_reason = ""
        self._layers.show_all()
        self._annotation.begin_job(job.label, job.found)
        self.destroyed.connect(job.job.cancel)  # the panel or the window is closed
        job.job.start()
        self._timer.start()
        self.told.emit("")

    def cancel(self, reason: str = "") -> None:
        """Stop the job; the masks that have come stay."""
        if self.job is not None:
            self._stop_reason = self._stop_reason or reason
            self.job.job.cancel()
            self.told.emit("")

    def _tick(self) -> None:
        job = self.job
        if job is None:
            self._timer.stop()
        elif self._is_ended:  # the layers are behind a little
            if self._layers.is_up_to_date:
                self._tell_end(job)
        else:
            self._follow(job)

    def _follow(self, job: Job) -> None:
        over = not job.job.is_alive  # asked first: what it left behind is then complete
        while job.job.notes:
            show_warning(job.job.notes.popleft())
        if job.job.masks and self._annotation.is_open:
            while job.job.masks:
                ready = job.job.masks.popleft()
                job.found.add(ready.kind, ready.object_id, ready.frame, ready.mask)
            self._annotation.job_found()
        if job.job.progress is not None:
            self.progressed.emit(job.job.progress)
        if over:
            self._is_ended = True
            self._layers.hear(job.heard)
            self._annotation.end_job(job.outcome if job.job.error is None else None)

    def _tell_end(self, job: Job) -> None:
        self.job, self._is_ended = None, False
        error = job.job.error
        if error is None:
            self._note(job)
            self.told.emit(job.summary)
        elif isinstance(error, Cancelled):
            self._say_cancelled(job)
        else:
            self.told.emit(f"The run stopped: {error}")
            notify(error)
        self.ended.emit()

    def _note(self, job: Job) -> None:
        """Note the finished job in the layers, for File > Save."""
        if isinstance(job, CompletionRun):
            self.completion = job.job.result
        annotations = self._annotation.state.annotations() if self._annotation.is_open else {}
        for found in self._layers.layers:
            if found.is_given or found.object_id not in annotations:
                continue
            annotation = annotations[found.object_id]
            origin = LayerOrigin(
                found.role, job.clip, found.object_id, annotation, self.completion, is_followed=True
            )
            found.note_origin(origin)

    def _say_cancelled(self, job: Job) -> None:
        count = len(job.found.frames)
        stays = (
            f"the masks of {count} frames found until then stay"
            if count
            else "nothing was found yet"
        )
        if self._stop_reason:
            show_warning(f"The run was stopped: {self._stop_reason}")
        more = " Run again to complete them." if not self._stop_reason else ""
        self.told.emit(f"Cancelled: {stays}.{more}")


class ExportControl(QObject):
    """Follows an export.

    Signals
    -------
    told : str
        What is to be said about it.
    """

    told = Signal(str)

    def __init__(self, layers: MaskLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._export: ExportJob | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def is_busy(self) -> bool:
        return self._export is not None

    def follow(self, export: ExportJob) -> None:
        """Follow an export that has begun."""
        self._export = export
        self._timer.start()
        self.told.emit("Exporting …")

    def _tick(self) -> None:
        export = self._export
        if export is None or export.job.is_alive:
            return
        self._export = None
        self._timer.stop()
        self._layers.hear(export.heard)
        if export.job.result is not None:
            self.told.emit(export.job.result.summary)
            if export.job.result.left_out:
                show_warning(export.job.result.warning)
        else:
            assert export.job.error is not None
            self.told.emit("Nothing was exported")
            notify(export.job.error)


def notify(error: BaseException) -> None:
    """Show an error: ours in its own words, another with its traceback behind a button."""
    if isinstance(error, InputError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
