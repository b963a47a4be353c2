"""The annotation of the open clip as the window's parts share it: one state, one history.

All parts read `AnnotationModel.state` and change it through `AnnotationModel.change` and its like,
one undoable step each. Layers, strips and lists follow the signals; none of them holds truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.annotation.provisional import Provisional
from napari_amodal.annotation.splicing import taken
from napari_amodal.annotation.state_changes import changed_frames, has_other_objects
from napari_amodal.clip import Clip
from napari_amodal.masks import Mask
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.painting import frames_told, painted, with_queries

#: What a tool does to one object.
Change = Callable[[ObjectAnnotation], ObjectAnnotation]


class AnnotationModel(QObject):
    """What is annotated in the open clip; lives in the window's thread.

    Signals
    -------
    opened
        Another clip is open, or none; everything may be different.
    objects_changed
        Objects came or went, or have another name, colour or visibility.
    frames_changed : int, frozenset of int
        An object, and its frames of which anything is different: masks, origins, locks, levels,
        confidence, queries, hypotheses, picks.
    current_changed
        Another object is the current one.
    history_changed
        There is another step, or another one counts: undo, redo and autosave look again.

    Attributes
    ----------
    clip : Clip or None
    history : History or None
        The steps until now, without what a running job has found; None while no clip is open.
    """

    opened = Signal()
    objects_changed = Signal()
    frames_changed = Signal(int, object)
    current_changed = Signal()
    history_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.clip: Clip | None = None
        self.history: History | None = None
        self._current: int | None = None
        self._state: ClipAnnotation | None = None
        self._job: tuple[str, Provisional] | None = None
        #: The strokes on one frame of one layer are one step: which, and the history before them.
        self._painting: tuple[str, History] | None = None

    # -- what is open -----------------------------------------------------------------------------

    def open(self, clip: Clip, history: History) -> None:
        """Show the work on a clip."""
        self.clip, self.history = clip, history
        self._state, self._job, self._painting = history.state, None, None
        self._current = next(iter(history.state.objects), None)
        self.opened.emit()
        self.history_changed.emit()

    def close(self) -> None:
        """Show nothing."""
        if self.clip is not None:
            self.clip = self.history = self._state = self._current = None
            self._job = self._painting = None
            self.opened.emit()
            self.history_changed.emit()

    @property
    def is_open(self) -> bool:
        return self._state is not None

    @property
    def state(self) -> ClipAnnotation:
        """All objects as they are now, with what a running job has found so far.

        Raises
        ------
        RuntimeError
            No clip is open.
        """
        if self._state is None:
            raise RuntimeError("no clip is open")
        return self._state

    @property
    def objects(self) -> Mapping[int, ObjectAnnotation]:
        """The objects by id; none while no clip is open."""
        return {} if self._state is None else self._state.objects

    @property
    def current(self) -> int | None:
        """Id of the object that tools work on; None where there is none."""
        return self._current

    @current.setter
    def current(self, object_id: int | None) -> None:
        if object_id is not None and object_id not in self.objects:
            raise ValueError(f"there is no object {object_id}")
        if object_id != self._current:
            self._current = object_id
            self.current_changed.emit()

    @property
    def current_object(self) -> ObjectAnnotation | None:
        return None if self._current is None else self.objects.get(self._current)

    # -- changing ---------------------------------------------------------------------------------

    def apply(self, label: str, state: ClipAnnotation) -> None:
        """Make another state the one that counts, as one step of the history.

        Parameters
        ----------
        label : str
            What was done, in words: "Lock frames 3 to 9".
        state : ClipAnnotation
            Made from ``history.state``. Masks that a running job has found so far are not in it;
            `change` takes them over.
        """
        assert self.history is not None
        self._painting = None
        self._step(self.history.done(label, state))

    def change(
        self, label: str, object_id: int, how: Change, frames: frozenset[int] = frozenset()
    ) -> None:
        """Change one object, as one step; nothing happens if `how` gives back what it got.

        Parameters
        ----------
        label : str
        object_id : int
        how : callable
            From the object as it is to what it becomes.
        frames : frozenset of int
            The frames that it works on: there, what a running job has found is taken over first.
        """
        state = self._with_found(object_id, frames)
        before = state.objects[object_id]
        after = how(before)
        if after is not before:
            self.apply(label, with_object(state, object_id, after))

    def _with_found(self, object_id: int, frames: frozenset[int]) -> ClipAnnotation:
        """The state of the history, and in it some frames as a running job has found them."""
        assert self.history is not None
        base, now = self.history.state, self.state
        if self._job is None or not frames or object_id not in base.objects:
            return base
        found = taken(base.objects[object_id], now.objects[object_id], sorted(frames))
        return with_object(base, object_id, found)

    def paint(self, object_id: int, role: LayerRole, masks: Mapping[int, Mask]) -> None:
        """Take masks by the annotator's hand; frames that differ are corrected and locked.

        Strokes on one frame of one layer, nothing else between them, are one step together: the
        strokes themselves are undone with napari's own undo.

        Parameters
        ----------
        object_id : int
        role : LayerRole
            `VISIBLE`, `AMODAL` or `QUERY`; a query of an object that is not there yet makes it.
        masks : mapping of int to ndarray
            Frame to mask, bool ``(H, W)``.
        """
        assert self.history is not None
        frames = sorted(masks)
        key = f"{object_id} {role} {frames}"
        if self._painting is not None and self._painting[0] == key:
            self.history = self._painting[1]
        before = self.history
        state = self._with_found(object_id, frozenset(frames))
        annotated = painted(state, object_id, role, masks)
        if annotated is None:
            self._painting = None
            self._step(before)
            return
        of = f" of {annotated.name}" if len(state.objects) > 1 else ""
        label = f"Paint {role}{of}, {frames_told(frames)}"
        self._step(before.done(label, with_object(state, object_id, annotated)))
        self._painting = key, before

    def add_object(self, name: str = "") -> int:
        """Add an empty object, make it the current one and return its id."""
        assert self.history is not None
        state, object_id = with_new_object(self.history.state, name)
        self.apply(f"Add {state.objects[object_id].name}", state)
        self.current = object_id
        return object_id

    def adopt_queries(self, queries: Mapping[int, Mapping[int, Mask]]) -> None:
        """Take queries, by object and frame, that were there before; no step of its own."""
        assert self.history is not None
        state = self.history.state
        for object_id, masks in queries.items():
            annotated = with_queries(state, object_id, masks)
            if annotated is not None:
                state = with_object(state, object_id, annotated)
        if state is not self.history.state:
            self.amend(state)

    def amend(self, state: ClipAnnotation) -> None:
        """Let the last step end otherwise; for what belongs to it and is no step of its own."""
        assert self.history is not None
        self._step(self.history.amended(state))

    @property
    def undo_label(self) -> str | None:
        """What `undo` takes back; None where there is nothing."""
        return None if self.history is None else self.history.undo_label

    @property
    def redo_label(self) -> str | None:
        return None if self.history is None else self.history.redo_label

    def undo(self) -> None:
        """Take the last step back."""
        if self.history is not None:
            self._painting = None
            self._step(self.history.undone())

    def redo(self) -> None:
        if self.history is not None:
            self._painting = None
            self._step(self.history.redone())

    # -- a running job ----------------------------------------------------------------------------

    def begin_job(self, label: str, found: Provisional) -> None:
        """From now on show what a job finds, as it comes; `end_job` makes one step of it."""
        self._job = label, found

    def job_found(self) -> None:
        """The job has found more."""
        if self._job is not None and self.history is not None:
            self._show(self._job[1].news_onto(self.state, self.history.state))

    def end_job(self, outcome: Callable[[ClipAnnotation], ClipAnnotation] | None = None) -> None:
        """Make one step of what the job found.

        Parameters
        ----------
        outcome : callable, optional
            From the state without it to the state with it; what had come until now if left out.
        """
        if self._job is None or self.history is None:
            return
        label, found = self._job
        self._job, self._painting = None, None
        self._step(self.history.done(label, (outcome or found.onto)(self.history.state)))

    @property
    def kept_history(self) -> History | None:
        """The history as it is to be saved now: with a step for what a running job has found."""
        if self._job is None or self.history is None:
            return self.history
        return self.history.done(f"{self._job[0]} (not ended)", self.state)

    # -- telling ----------------------------------------------------------------------------------

    def _step(self, history: History) -> None:
        self.history = history
        self._show(history.state if self._job is None else self._job[1].onto(history.state))
        self.history_changed.emit()

    def _show(self, now: ClipAnnotation) -> None:
        before = self.state
        self._state = now
        if has_other_objects(before, now):
            if self._current not in now.objects:
                self._current = next(iter(now.objects), None)
                self.current_changed.emit()
            self.objects_changed.emit()
        for object_id, frames in changed_frames(before, now).items():
            self.frames_changed.emit(object_id, frames)
