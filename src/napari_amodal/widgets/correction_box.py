"""Steering by corrections: locks, the update from them, undo and redo."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.annotation.object_annotation import ObjectAnnotation, with_locks
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.painting import frames_told
from napari_amodal.widgets.query_layer import frame_list


class CorrectionBox(QWidget):
    """Buttons for the current object and the shown frame.

    Signals
    -------
    update_wanted
        Frames between the locks are to be done again.
    """

    update_wanted = Signal()

    def __init__(self, model: CompletionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.locks = QLabel()
        self.locks.setWordWrap(True)
        self.lock = QPushButton("Lock frame")
        self.lock.setCheckable(True)
        self.range = QPushButton("Lock range …")
        self.range.setToolTip("Lock or unlock frames from … to …")
        self.update_button = QPushButton("Update from corrections")
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        lock_row = QHBoxLayout()
        lock_row.addWidget(self.lock)
        lock_row.addWidget(self.range)
        step_row = QHBoxLayout()
        step_row.addWidget(self.update_button, 1)
        step_row.addWidget(self.undo)
        step_row.addWidget(self.redo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.locks)
        layout.addLayout(lock_row)
        layout.addLayout(step_row)
        self.lock.clicked.connect(self._on_lock)
        self.range.clicked.connect(self._on_range)
        self.update_button.clicked.connect(self.update_wanted)
        self.undo.clicked.connect(self._on_undo)
        self.redo.clicked.connect(self._on_redo)
        model.changed.connect(self.refresh)
        model.masks_changed.connect(self.refresh)
        model.annotation.current_changed.connect(self.refresh)
        self.refresh()

    def set_locks(self, frames: list[int], *, locked: bool) -> None:
        """Set or lift locks of the current object, as one step."""
        current = self._model.annotation.current
        if current is None or not frames:
            return

        def changed(annotated: ObjectAnnotation) -> ObjectAnnotation:
            is_so = annotated.locked.issuperset if locked else annotated.locked.isdisjoint
            return annotated if is_so(frames) else with_locks(annotated, frames, locked=locked)

        label = f"{'Lock' if locked else 'Unlock'} {frames_told(frames)}"
        self._model.annotation.change(label, current, changed, frozenset(frames))

    def _on_lock(self) -> None:
        self.set_locks([self._model.frame], locked=self.lock.isChecked())
        self.refresh()

    def _on_range(self) -> None:
        last = len(self._model.annotation.current_object or ()) - 1
        text, agreed = QInputDialog.getText(
            self,
            "Lock range",
            f"Frames to lock, as 3-9 (0 to {last}); with a minus before it to unlock: -3-9",
            text=f"{self._model.frame}-{last}",
        )
        if agreed:
            frames, locked = range_of(text, last)
            self.set_locks(frames, locked=locked)

    def _on_undo(self) -> None:
        self._model.hear_now()
        self._model.annotation.undo()

    def _on_redo(self) -> None:
        self._model.annotation.redo()

    def refresh(self) -> None:
        """Show what is locked and what can be done."""
        annotation, frame = self._model.annotation, self._model.frame
        current = annotation.current_object
        is_locked = current is not None and frame in current.locked
        self.lock.setEnabled(current is not None)
        self.range.setEnabled(current is not None)
        self.lock.setChecked(is_locked)
        self.lock.setText("Frame locked" if is_locked else "Lock frame")
        self.lock.setToolTip(
            "Locked: no run and no update changes this frame (Ctrl+L lifts it)"
            if is_locked
            else "Keep this frame as it is, whatever is run (Ctrl+L)"
        )
        locked = sorted(current.locked) if current is not None else []
        self.locks.setText(f"Locked: {frame_list(locked)}" if locked else "")
        self.locks.setVisible(bool(locked))
        hindrance = self._model.update_hindrance
        self.update_button.setEnabled(not hindrance)
        self.update_button.setToolTip(
            hindrance or "Do the frames between your corrections again (Ctrl+U)"
        )
        for button, label, what, keys in (
            (self.undo, annotation.undo_label, "Undo", "Ctrl+Alt+Z"),
            (self.redo, annotation.redo_label, "Redo", "Ctrl+Alt+Shift+Z"),
        ):
            button.setEnabled(label is not None)
            button.setToolTip(
                f"{what}: {label} ({keys})" if label else f"Nothing to {what.lower()}"
            )


def range_of(text: str, last: int) -> tuple[list[int], bool]:
    """Frames and whether to lock them, from ``3-9``, ``7`` or ``-3-9``; none if it is neither."""
    text = text.strip()
    locked = not text.startswith("-")
    ends = text.lstrip("-").split("-")
    if not 1 <= len(ends) <= 2 or not all(end.strip().isdecimal() for end in ends):
        return [], locked
    first, end = int(ends[0]), int(ends[-1])
    return list(range(max(0, min(first, end)), min(last, max(first, end)) + 1)), locked
