"""What the dock widget does, without how it looks: the layers, the run, the export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import notification_manager, show_error, show_warning
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.errors import Cancelled, InputError
from napari_amodal.export import export, object_folders
from napari_amodal.levels import FrameOcclusion
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.completion_run import CompletionRun, RunRequest, add_below
from napari_amodal.widgets.frame_levels import FrameLevels
from napari_amodal.widgets.layer_clip import check_lies_on, clip_of, current_frame, stack_fault
from napari_amodal.widgets.layer_origin import origin_of
from napari_amodal.widgets.left_out import Exported, left_out, look_alikes
from napari_amodal.widgets.query_layer import edit_events, make_query_layer
from napari_amodal.widgets.results import Results, given_results

#: How often the window looks for news of a job (ms), and how long it may take over it (s).
TICK_MS = 40
TICK_BUDGET = 0.012


class CompletionModel(QObject):
    """The state behind the dock widget.

    Signals
    -------
    changed
        A layer is chosen, a job has begun or ended, the status is another.
    progressed : Progress
        A report of the running job.
    masks_changed
        The masks of the shown frame are others, or another frame is shown.
    """

    changed = Signal()
    progressed = Signal(object)
    masks_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.stack: Image | None = None
        self.query: Labels | None = None
        self.results: Results | None = None
        self.levels = FrameLevels(self)
        self.status = ""
        self.run: CompletionRun | None = None
        self._queries_shown: WeakSet[Layer] = WeakSet()
        self._export: BackgroundJob[Exported] | None = None
        self._stop_reason = ""
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._mask_timer = QTimer(self)  # brushes report before they have painted, and often
        self._mask_timer.setSingleShot(True)
        self._mask_timer.setInterval(TICK_MS)
        self._mask_timer.timeout.connect(self._on_masks_settled)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_step)

    # -- what is chosen ---------------------------------------------------------------------------

    def choose_stack(self, stack: Image | None) -> None:
        """Take another frame stack; results over the earlier one stay in the viewer."""
        if stack is self.stack:
            return
        self.stack = stack
        self._take_results(None if stack is None else given_results(stack, self.viewer.layers))
        self._say("")

    def choose_query(self, query: Labels | None) -> None:
        if query is self.query:
            return
        self.query = query
        self._show_query(query)
        self.changed.emit()

    def _show_query(self, query: Labels | None) -> None:
        """Go to the frame of a query that came with the frames, the first time it is chosen."""
        if query is None or self.stack is None:
            return
        origin, stack = origin_of(query.metadata), origin_of(self.stack.metadata)
        if origin is None or stack is None or origin.clip is not stack.clip:
            return
        if origin.query_frame is not None and query not in self._queries_shown:
            self._queries_shown.add(query)
            self.go_to(origin.query_frame)

    @property
    def stack_fault(self) -> str:
        """Why nothing can be tracked in the chosen frames; empty where it can."""
        return "" if self.stack is None else stack_fault(self.stack)

    def make_query(self) -> None:
        """Add an empty query layer over the frames and take up the brush."""
        if self.stack is None:
            show_warning("Choose the frames first: open a clip, or File > Open Sample")
            return
        try:
            layer = make_query_layer(self.stack, clip_of(self.stack))
        except InputError as error:
            show_error(str(error))
            return
        self.viewer.add_layer(layer)
        self.viewer.layers.selection.active = layer
        layer.mode = "paint"
        self.choose_query(layer)

    def may_be_query(self, layer: Layer) -> bool:
        """Whether objects may be painted in a layer: any Labels layer that no run has made."""
        origin = origin_of(layer.metadata)
        return isinstance(layer, Labels) and (origin is None or not origin.is_from_run)

    @property
    def frame(self) -> int:
        """The frame of the stack that the viewer shows."""
        return 0 if self.stack is None else current_frame(self.stack, self.viewer.dims.point)

    def go_to(self, frame: int) -> None:
        """Show a frame of the stack."""
        if self.stack is not None:
            world = self.stack.data_to_world((frame, 0, 0))
            self.viewer.dims.set_point(self.viewer.dims.ndim - 3, float(world[0]))

    def occlusions(self) -> dict[int, FrameOcclusion | None]:
        """Level and amount of the shown frame by object, from the masks as they are now."""
        if self.results is None:
            return {}
        return {i: self.results.occlusion(i, self.frame) for i in self.results.object_ids}

    # -- a run ------------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        return self.run is not None or self._export is not None

    def start_run(self, request: RunRequest) -> None:
        """Begin a run in a worker thread; what cannot be used is said as a notification."""
        if self.is_busy:
            return
        try:
            results, query = self._checked_layers()
        except InputError as error:
            show_error(str(error))
            return
        if results is not self.results:
            self._take_results(results)
        self.run = CompletionRun(results, query, request)
        self._stop_reason = ""
        self.destroyed.connect(self.run.job.cancel)  # the panel or the window is closed
        self.run.job.start()
        self._timer.start()
        self._say("")

    def _checked_layers(self) -> tuple[Results, Labels]:
        if self.stack is None:
            raise InputError("choose the frames first: open a clip, or File > Open Sample")
        if self.query is None:
            raise InputError("there is no query: press New and paint the object on one frame")
        clip = clip_of(self.stack)
        check_lies_on(self.query, self.stack)
        results = self.results
        if results is not None and results.is_from_run and results.fits(self.stack):
            results.clip = clip  # its name, contrast limits or pixels may be others now
            return results, self.query
        return Results(self.stack, clip), self.query

    def cancel(self, reason: str = "") -> None:
        """Stop the run; the masks that have come stay in the layers."""
        if self.run is not None:
            self._stop_reason = self._stop_reason or reason
            self.run.job.cancel()
            self.changed.emit()

    @property
    def is_cancelling(self) -> bool:
        return self.run is not None and self.run.job.is_cancelled()

    def _tick(self) -> None:
        if self.run is not None:
            self._tick_run(self.run)
        elif self._export is not None and not self._export.is_alive:
            self._end_export(self._export)
        if not self.is_busy:
            self._timer.stop()

    def _tick_run(self, run: CompletionRun) -> None:
        if not run.job.is_cancelled() and (result := run.next_layer()) is not None:
            add_below(self.viewer.layers, result.layer, self.query)
            self._watch_edits(result.layer)
            self.levels.follow(self.results)
            self.changed.emit()
            return  # napari takes a while over a layer: one a tick
        while run.job.notes:
            show_warning(run.job.notes.popleft())
        written, over = run.show(time.monotonic() + TICK_BUDGET)
        self.levels.look_at(sorted({frame for _, frame in written}))
        for result in {result for result, frame in written if frame == self.frame}:
            result.layer.refresh()
        if run.job.progress is not None:
            self.progressed.emit(run.job.progress)
        if over:
            self._end_run(run)

    def _end_run(self, run: CompletionRun) -> None:
        self.run = None
        error = run.job.error
        if error is None:
            run.finish()
            self._say(run.summary)
        elif isinstance(error, Cancelled):
            self._say_cancelled(run)
        else:
            self._say(f"The run stopped: {error}")
            _notify(error)
        self.levels.follow_doubt()
        self.masks_changed.emit()

    def _say_cancelled(self, run: CompletionRun) -> None:
        stays = (
            f"the masks of {run.frames_shown} frames found until then stay"
            if run.frames_shown
            else "nothing was found yet"
        )
        if self._stop_reason:
            show_warning(f"The run was stopped: {self._stop_reason}")
        more = " Run again to complete them." if self.results is run.results else ""
        self._say(f"Cancelled: {stays}.{more}")

    # -- export -----------------------------------------------------------------------------------

    @property
    def export_hindrance(self) -> str:
        """Why there is nothing to export now; empty where there is."""
        if self.is_busy:
            return "Wait for the run to end"
        if self.results is None or not self.results.layers:
            return "Run first: there are no masks yet"
        if not self.results.is_complete:
            return "The run did not end: run again, or save the layers through File > Save"
        return ""

    def export_folders(self, out: Path) -> tuple[Path, ...]:
        """The clip folders that an export to `out` would write."""
        assert self.results is not None
        ids = self.results.object_ids
        return tuple(object_folders(out, self.results.clip.name, ids).values())

    def start_export(self, out: Path, *, overwrite: bool) -> None:
        """Write the masks as they are now to TABE-51 folders, in a worker thread."""
        results = self.results
        if self.is_busy or results is None:
            return

        layers = self.exported_layers
        others = look_alikes(self.viewer.layers, results, self.query)

        def work(job: BackgroundJob[Exported]) -> Exported:
            annotations = results.annotations(job.check)
            folders = export(
                out, results.clip, annotations, results.completion, overwrite=overwrite
            )
            return Exported(folders, layers, left_out(others, job.check))

        self._export = BackgroundJob(work)
        self._export.start()
        self._timer.start()
        self._say("Exporting …")

    def _end_export(self, job: BackgroundJob[Exported]) -> None:
        self._export = None
        if job.result is not None:
            self._say(job.result.summary)
            if job.result.left_out:
                show_warning(job.result.warning)
        else:
            assert job.error is not None
            self._say("Nothing was exported")
            _notify(job.error)

    @property
    def exported_layers(self) -> str:
        """The layers that an export writes, by name."""
        layers = self.results.layers if self.results is not None else ()
        return ", ".join(repr(result.layer.name) for result in reversed(layers))

    # -- what happens in the viewer ---------------------------------------------------------------

    def _take_results(self, results: Results | None) -> None:
        if self.results is not None:
            for result in self.results.layers:
                self._unwatch_edits(result.layer)
        self.results = results
        if results is not None:
            for result in results.layers:
                self._watch_edits(result.layer)
        self.levels.follow(results)
        self.masks_changed.emit()

    def _watch_edits(self, layer: Labels) -> None:
        for event in edit_events(layer):
            event.connect(self._on_edit)

    def _unwatch_edits(self, layer: Labels) -> None:
        for event in edit_events(layer):
            event.disconnect(self._on_edit)

    def _on_edit(self, event: Any = None) -> None:
        if not self._mask_timer.isActive():
            self._mask_timer.start()

    def _on_masks_settled(self) -> None:
        self.levels.look_at([self.frame])
        self.masks_changed.emit()

    def _on_step(self, event: Any = None) -> None:
        self.masks_changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.stack:
            self.cancel(f"its frames {event.value.name!r} were removed")
            self.stack = None
            self._take_results(None)
            self.changed.emit()
        elif layer is self.query:
            self.choose_query(None)
        elif self.results is not None and self.results.holds(layer):
            self.cancel(f"the layer {layer.name!r} was removed")
            self._take_results(None)
            self._say("")

    def _say(self, status: str) -> None:
        self.status = status
        self.changed.emit()


def _notify(error: BaseException) -> None:
    """Show an error: ours in its own words, another with its traceback behind a button."""
    if isinstance(error, InputError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
