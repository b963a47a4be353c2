"""What the dock widget does, without how it looks: the layers, the jobs, the export."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.session import Session
from napari_amodal.engine import Completion
from napari_amodal.errors import InputError
from napari_amodal.levels import FrameOcclusion
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.completion_run import CompletionRun, Job, RunRequest, UpdateRun
from napari_amodal.widgets.export_job import ExportJob, export_hindrance
from napari_amodal.widgets.frame_levels import FrameLevels, known_occlusion
from napari_amodal.widgets.job_control import ExportControl, JobControl
from napari_amodal.widgets.layer_clip import check_lies_on, clip_of, grid_of, stack_fault
from napari_amodal.widgets.layer_origin import LayerRole, origin_of
from napari_amodal.widgets.mask_layers import MaskLayers
from napari_amodal.widgets.opening_work import begin_history, given_layers, was_followed
from napari_amodal.widgets.query_layer import make_query_layer
from napari_amodal.widgets.query_link import QueryLink
from napari_amodal.widgets.session_keeper import SessionKeeper

#: The model of each viewer's panel, by the viewer's id.
_MODELS: WeakValueDictionary[int, CompletionModel] = WeakValueDictionary()


def model_of(viewer: ViewerModel) -> CompletionModel | None:
    """The model of a viewer's panel, for docks beside it; None while no panel is open."""
    return _MODELS.get(id(getattr(viewer, "__wrapped__", viewer)))


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

    Attributes
    ----------
    annotation : AnnotationModel
        What is annotated; every part of the window reads and changes this.
    layers : MaskLayers
        The *visible* and *amodal* layers that show it.
    levels : FrameLevels
        The level of every frame.
    session : SessionKeeper
        Saves the work, and offers what was saved before.
    """

    changed = Signal()
    progressed = Signal(object)
    masks_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        _MODELS[id(viewer)] = self
        self.stack: Image | None = None
        self.query: Labels | None = None
        self.annotation = AnnotationModel(self)
        self.layers = MaskLayers(self.annotation, viewer, self)
        self.query_link = QueryLink(self.annotation, viewer, self)
        self.levels = FrameLevels(self.annotation, self)
        self.session = SessionKeeper(self.annotation, self)
        self.session.loaded.connect(self._show_session)
        self.session.changed.connect(self.changed)
        self.jobs = JobControl(self.annotation, self.layers, self)
        self.exports = ExportControl(self.layers, self)
        self.status = ""
        self._queries_shown: WeakSet[Layer] = WeakSet()
        for control in (self.jobs, self.exports):
            control.told.connect(self._say)
        self.jobs.progressed.connect(self.progressed)
        self.jobs.ended.connect(self.masks_changed)
        self.jobs.ended.connect(self._on_job_ended)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_step)
        self.annotation.frames_changed.connect(self._on_frames_changed)
        self.annotation.objects_changed.connect(self.changed)
        self.annotation.opened.connect(self.masks_changed)
        self.annotation.history_changed.connect(self.changed)

    # -- what is chosen ---------------------------------------------------------------------------

    def choose_stack(self, stack: Image | None) -> None:
        """Take another frame stack; the layers over the earlier one stay in the viewer."""
        if stack is self.stack:
            return
        self.cancel("other frames were chosen")
        self.stack = stack
        self._open()
        self._say("")

    def _open(self) -> None:
        """Begin the work on the chosen frames anew, with the masks that came with them."""
        self.jobs.completion = None
        self.layers.leave()
        if self.stack is None or self.stack_fault:
            self.annotation.close()
            return
        clip = clip_of(self.stack)
        given = given_layers(self.stack, self.viewer.layers)
        self.annotation.open(clip, begin_history(clip, given))
        self.layers.begin(self.stack, clip)
        for layer, origin in given:
            self.layers.adopt(layer, origin)
        origin_of_stack = origin_of(self.stack.metadata)
        if origin_of_stack is not None and origin_of_stack.session is not None:
            self.session.open(origin_of_stack.session, clip)

    def _show_session(self, session: Session) -> None:
        """Show a session that was read, in layers of its own."""
        if self.stack is None or self.annotation.clip is None:
            return
        self.layers.leave()
        for layer in [layer for layer in self.viewer.layers if was_followed(layer, self.stack)]:
            self.viewer.layers.remove(layer)  # the session has what they show
        self.annotation.open(self.annotation.clip, session.history)
        self.layers.begin(self.stack, self.annotation.clip)
        for layer, origin in given_layers(self.stack, self.viewer.layers):
            if origin.object_id in self.annotation.objects:
                self.layers.adopt(layer, origin)
        self.layers.show_all()
        if any(found.query_frames for found in self.annotation.objects.values()):
            self.query = None
            self.make_query()
            self._leave_query()
        frame = session.view.get("frame")
        if isinstance(frame, int) and 0 <= frame < self.annotation.state.shape[0]:
            self.go_to(frame)
        self._say(f"The session goes on: {len(session.history.steps) - 1} steps")

    def choose_query(self, query: Labels | None) -> None:
        if query is self.query:
            return
        self.query = query
        self.layers.put_below(query)
        self.query_link.follow(query)
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

    def _on_job_ended(self) -> None:
        if self.jobs.completion is not None:
            self._leave_query()

    def _leave_query(self) -> None:
        """After a run the next stroke is for its masks: a query that lies over them makes way."""
        query, layers = self.query, self.viewer.layers
        found = [found for found in self.layers.layers if found.role is LayerRole.AMODAL]
        own = [found.layer for found in found if found.object_id == self.annotation.current]
        if query is None or not own:
            return
        if layers.selection.active is query:
            layers.selection.active = own[0]
        if self.has_given_visible:
            query.visible = False

    @property
    def has_given_visible(self) -> bool:
        """Whether the query layer holds the visible masks of all frames, as a folder gave them."""
        origin = None if self.query is None else origin_of(self.query.metadata)
        return origin is not None and origin.role is LayerRole.VISIBLE

    @property
    def stack_fault(self) -> str:
        """Why nothing can be tracked in the chosen frames; empty where it can."""
        return "" if self.stack is None else stack_fault(self.stack)

    def make_query(self) -> None:
        """Add a query layer over the frames and take up the brush."""
        if self.stack is None:
            show_warning("Choose the frames first: open a clip, or File > Open Sample")
            return
        try:
            layer = make_query_layer(self.stack, clip_of(self.stack))
        except InputError as error:
            show_error(str(error))
            return
        if self.query is None:
            self.query_link.fill(layer)
        self.viewer.add_layer(layer)
        self.viewer.layers.selection.active = layer
        layer.selected_label = self.annotation.current or 1
        layer.mode = "paint"
        self.choose_query(layer)

    def may_be_query(self, layer: Layer) -> bool:
        """Whether objects may be painted in a layer: any Labels layer that no run has made."""
        origin = origin_of(layer.metadata)
        return isinstance(layer, Labels) and (origin is None or not origin.is_from_run)

    @property
    def frame(self) -> int:
        """The frame of the stack that the viewer shows."""
        return self.layers.frame

    def go_to(self, frame: int) -> None:
        """Show a frame of the stack."""
        if self.stack is not None:
            world = self.stack.data_to_world((frame, 0, 0))
            self.viewer.dims.set_point(self.viewer.dims.ndim - 3, float(world[0]))

    def occlusions(self) -> dict[int, FrameOcclusion | None]:
        """Level and amount of the shown frame by object, from the masks as they are now."""
        frame = self.frame
        shown = {found.object_id for found in self.layers.layers}
        return {
            object_id: known_occlusion(annotated, frame)
            for object_id, annotated in self.annotation.objects.items()
            if object_id in shown
        }

    # -- jobs -------------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        return self.jobs.is_busy or self.exports.is_busy

    @property
    def run(self) -> Job | None:
        """The run or update that is going on."""
        return self.jobs.job

    def hear_now(self) -> None:
        """Take all strokes into the annotation that still wait for that."""
        self.layers.hear_now()
        self.query_link.hear_now()

    def start_run(self, request: RunRequest) -> None:
        """Begin a run in a worker thread; what cannot be used is said as a notification."""
        if self.is_busy:
            return
        try:
            self._check_layers()
        except InputError as error:
            show_error(str(error))
            return
        self.layers.leave_given()
        assert self.annotation.clip is not None
        state = self.annotation.state
        self.jobs.start(
            CompletionRun(self.annotation.clip, state, self.layers, self.query, request)
        )

    def _check_layers(self) -> None:
        if self.stack is None:
            raise InputError("choose the frames first: open a clip, or File > Open Sample")
        has_truth = any(found.anchors for found in self.annotation.objects.values())
        if self.query is None and not has_truth:
            raise InputError("there is no query: press New and paint the object on one frame")
        clip = clip_of(self.stack)
        if self.query is not None:
            check_lies_on(self.query, self.stack)
        if not self.annotation.is_open or self.annotation.state.shape != grid_of(self.stack).shape:
            self._open()  # the layer has other pixels now
        self.annotation.clip = self.layers.clip = clip  # its name or limits may be others now
        self.hear_now()

    def start_update(self, request: RunRequest) -> None:
        """Track and complete again around fresh corrections, in a worker thread."""
        self.hear_now()
        clip = self.annotation.clip
        if clip is not None and not self.update_hindrance:
            state = self.annotation.state
            self.jobs.start(UpdateRun(clip, state, request.engine, request.settings))

    @property
    def update_hindrance(self) -> str:
        """Why there is nothing to update now; empty where there is."""
        if self.is_busy:
            return "Wait for the job to end"
        objects = self.annotation.objects.values()
        if not any(found.fresh for found in objects):
            return "Correct a frame of visible or amodal first, or lock one that is right"
        return ""

    def cancel(self, reason: str = "") -> None:
        """Stop the job; the masks that have come stay."""
        self.jobs.cancel(reason)

    @property
    def is_cancelling(self) -> bool:
        return self.jobs.is_cancelling

    # -- export -----------------------------------------------------------------------------------

    @property
    def export_hindrance(self) -> str:
        """Why there is nothing to export now; empty where there is."""
        return "Wait for the job to end" if self.is_busy else export_hindrance(self.annotation)

    def start_export(self, out: Path, *, overwrite: bool) -> None:
        """Write the masks as they are now to TABE-51 folders, in a worker thread."""
        if self.is_busy or not self.annotation.is_open:
            return
        self.hear_now()
        job = ExportJob(self.annotation, self.layers, self.query, self.completion)
        job.begin(out, self.viewer.layers, overwrite=overwrite)
        self.exports.follow(job)

    @property
    def completion(self) -> Completion | None:
        """The last run that came to its end since the clip was opened."""
        return self.jobs.completion

    # -- what happens in the viewer ---------------------------------------------------------------

    def _on_frames_changed(self, object_id: int, frames: frozenset[int]) -> None:
        if self.frame in frames:
            self.masks_changed.emit()

    def _on_step(self, event: Any = None) -> None:
        self.layers.show_frame()
        self.session.view["frame"] = self.frame
        self.masks_changed.emit()

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.stack:
            self.cancel(f"its frames {event.value.name!r} were removed")
            self.stack = None
            self._open()
            self.changed.emit()
        elif layer is self.query:
            self.choose_query(None)
        elif self.layers.forget(layer):
            self.cancel(f"the layer {layer.name!r} was removed")
            self._say("")

    def _say(self, status: str) -> None:
        self.status = status
        self.changed.emit()
