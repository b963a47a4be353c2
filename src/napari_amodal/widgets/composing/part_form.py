"""The form of one part: which frames of it, when, and how it is laid over the object."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_amodal.errors import InputError
from napari_amodal.widgets.composing.part import Part

_MOST_FRAMES = 1_000_000


class PartForm(QWidget):
    """Shows the table of a part, and tells what the person sets.

    Signals
    -------
    key_set : str, object, object
        A key of the description, its new value, and the value that it has unless told.
    plate_chosen : pathlib.Path or None
    """

    key_set = Signal(str, object, object)
    plate_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_time()
        self._make_place()
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._form.addRow("Frames a second", self.fps)
        self._form.addRow("Frames", _row(self.first, QLabel("to"), self.last))
        self._form.addRow("Last frame stands", _row(self.pause, self.pause_to_end))
        self._form.addRow(self.reverse)
        self._form.addRow("Begins at frame", self.begin)
        self._form.addRow("Meets at frame", _row(self.meets, self.meet))
        self._form.addRow("Soft edge, pixels", self.softness)
        self._form.addRow("Clean plate", _row(self.plate, self.no_plate))
        self._connect()

    def _make_time(self) -> None:
        self.fps = QDoubleSpinBox()
        self.fps.setRange(0, 1000)
        self.fps.setKeyboardTracking(False)
        self.fps.setSpecialValueText("as it is")
        self.fps.setToolTip("Cut a video to this rate; 'as it is' takes every frame")
        self.first, self.last = _frames(), _frames()
        self.first.setToolTip("The first frame that is taken, counted after the cut to the rate")
        self.last.setToolTip("The last frame that is taken; past the end stands for the end")
        self.reverse = QCheckBox("Backwards")
        self.pause = _frames()
        self.pause.setToolTip("For how many frames the last one stands still")
        self.pause_to_end = QCheckBox("to the end")
        self.begin = _frames()
        self.begin.setToolTip("The frame of the composed clip at which it comes in")

    def _make_place(self) -> None:
        self.meets = QCheckBox()
        self.meets.setToolTip(
            "Lay the middle of its mask on that of the object at this frame of the composed clip; "
            "its position counts from there"
        )
        self.meet = _frames()
        self.softness = QDoubleSpinBox()
        self.softness.setRange(0, 100)
        self.softness.setSingleStep(0.5)
        self.softness.setToolTip("Pixels over which its edge fades, on both sides")
        self.plate = QPushButton("Choose …")
        self.plate.setToolTip(
            "A picture of its background without it, by the same camera at the same place: its "
            "edge is then freed of that background"
        )
        self.no_plate = QPushButton("None")

    def _connect(self) -> None:
        for spin, key in ((self.first, "first"), (self.begin, "begin")):
            spin.valueChanged.connect(lambda value, key=key: self.key_set.emit(key, value, 0))
        self.fps.valueChanged.connect(lambda value: self.key_set.emit("fps", value or None, None))
        self.last.valueChanged.connect(self._on_last)
        self.softness.valueChanged.connect(lambda v: self.key_set.emit("softness", v, 2.0))
        self.reverse.toggled.connect(lambda on: self.key_set.emit("reverse", on, False))
        self.pause.valueChanged.connect(self._on_pause)
        self.pause_to_end.toggled.connect(self._on_pause)
        self.meets.toggled.connect(self._on_meet)
        self.meet.valueChanged.connect(self._on_meet)
        self.plate.clicked.connect(self._on_plate)
        self.no_plate.clicked.connect(lambda: self.plate_chosen.emit(None))

    def _on_last(self, value: int) -> None:
        self.key_set.emit("last", None if value == self.last.maximum() else value, None)

    def _on_pause(self) -> None:
        self.pause.setDisabled(self.pause_to_end.isChecked())
        value = "end" if self.pause_to_end.isChecked() else self.pause.value()
        self.key_set.emit("pause", value, 0)

    def _on_meet(self) -> None:
        self.meet.setEnabled(self.meets.isChecked())
        value = self.meet.value() if self.meets.isChecked() else None
        self.key_set.emit("meet", value, None)

    def _on_plate(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "A picture or clip of the background alone")
        if file:
            self.plate_chosen.emit(Path(file))

    def show_part(self, part: Part, *, is_occluder: bool) -> None:
        """Show what a part has; nothing is emitted."""
        table = part.table
        fields = (self.fps, self.first, self.last, self.reverse, self.pause, self.pause_to_end)
        places = (self.begin, self.meets, self.meet, self.softness)
        blockers = [QSignalBlocker(one) for one in (*fields, *places)]
        self.fps.setEnabled(part.clip.fps is not None)
        self.fps.setMaximum(part.clip.fps or 1000)
        self.fps.setValue(table.get("fps") or 0)
        count = _cut_count(part)
        for spin, value in ((self.first, table.get("first", 0)), (self.last, table.get("last"))):
            spin.setMaximum(max(0, count - 1))
            spin.setValue(count - 1 if value is None else value)
        self.reverse.setChecked(table.get("reverse", False))
        pause = table.get("pause", 0)
        self.pause_to_end.setChecked(pause == "end")
        self.pause.setEnabled(pause != "end")
        self.pause.setValue(0 if pause == "end" else pause)
        self.begin.setValue(table.get("begin", 0))
        self.meets.setChecked(table.get("meet") is not None)
        self.meet.setEnabled(table.get("meet") is not None)
        self.meet.setValue(table.get("meet") or 0)
        self.softness.setValue(table.get("softness", 2.0))
        self.plate.setText("Choose …" if part.plate is None else part.plate.name)
        self.no_plate.setEnabled(part.plate is not None)
        self.pause_to_end.setVisible(is_occluder)
        for at in range(4, self._form.rowCount()):
            self._form.setRowVisible(at, is_occluder)
        del blockers


def _cut_count(part: Part) -> int:
    """Frames of a part's source after the cut to its rate."""
    whole = {key: value for key, value in part.table.items() if key == "fps"}
    try:
        return len(Part(part.source, part.clip, part.volume, whole).taken())
    except InputError:
        return len(part.clip)


def _frames() -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(0, _MOST_FRAMES)
    spin.setKeyboardTracking(False)
    return spin


def _row(*widgets: QWidget) -> QLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel | QCheckBox) else 1)
    return row
