"""Position, scale and depth of an occluder at the shown frame, and its keyframes."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_amodal.widgets.composing.part import Part


class NumbersRow(QWidget):
    """Shows and sets the numbers that may change in time.

    Signals
    -------
    numbers_set : str, tuple of float
        The key, and its numbers at the shown frame.
    frame_chosen : int
        The person clicked a keyframe.
    """

    numbers_set = Signal(str, tuple)
    frame_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.down_spin, self.right_spin = _spin(-100_000, 100_000, 1), _spin(-100_000, 100_000, 1)
        self.scale_spin, self.depth_spin = _spin(0.01, 100, 0.05), _spin(-1000, 1000, 1)
        self.scale_spin.setToolTip("1 is its own size")
        self.depth_spin.setToolTip(
            "Above 0 before the object, below 0 behind it; the highest is on top"
        )
        self.add = QPushButton("Keyframe here")
        self.add.setToolTip(
            "From then on the numbers change between keyframes, and setting one makes a keyframe"
        )
        self.take_away = QPushButton("Remove it")
        self.keys = QLabel()
        self.keys.setWordWrap(True)
        self.keys.linkActivated.connect(lambda link: self.frame_chosen.emit(int(link)))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.title, 0, 0, 1, 4)
        fields = (
            ("Down", self.down_spin),
            ("Right", self.right_spin),
            ("Scale", self.scale_spin),
            ("Depth", self.depth_spin),
        )
        for at, (label, spin) in enumerate(fields):
            row, column = divmod(at, 2)
            grid.addWidget(QLabel(label), 1 + row, 2 * column)
            grid.addWidget(spin, 1 + row, 2 * column + 1)
        grid.addWidget(self.add, 3, 0, 1, 2)
        grid.addWidget(self.take_away, 3, 2, 1, 2)
        grid.addWidget(self.keys, 4, 0, 1, 4)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        for spin in (self.down_spin, self.right_spin):
            spin.valueChanged.connect(self._on_position)
        self.scale_spin.valueChanged.connect(lambda value: self.numbers_set.emit("scale", (value,)))
        self.depth_spin.valueChanged.connect(lambda value: self.numbers_set.emit("depth", (value,)))

    def _on_position(self) -> None:
        self.numbers_set.emit("position", (self.down_spin.value(), self.right_spin.value()))

    def show_numbers(self, part: Part, frame: int) -> None:
        """Show a part's numbers at a frame; nothing is emitted."""
        keys = part.key_frames()
        blockers = [
            QSignalBlocker(one)
            for one in (self.down_spin, self.right_spin, self.scale_spin, self.depth_spin)
        ]
        y, x = part.course("position").at(frame)
        self.down_spin.setValue(float(y))
        self.right_spin.setValue(float(x))
        self.scale_spin.setValue(float(part.course("scale").at(frame)[0]))
        self.depth_spin.setValue(float(part.course("depth").at(frame)[0]))
        del blockers
        where = f"in frame {frame}" if keys else "in all frames"
        self.title.setText(f"<b>Place {where}</b>, from the middle, in pixels")
        self.take_away.setEnabled(frame in keys)
        links = ", ".join(f'<a href="{at}" style="color: #8ab4f8">{at}</a>' for at in keys)
        self.keys.setText(f"Keyframes: {links}" if keys else "")
        self.keys.setVisible(bool(keys))


def _spin(low: float, high: float, step: float) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(low, high)
    spin.setSingleStep(step)
    spin.setKeyboardTracking(False)
    return spin
