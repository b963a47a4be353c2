"""The tools for hidden parts as a part of the panel: hypotheses, the mask, along the motion."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.annotation.object_annotation import CONSENSUS
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.disagreement_layer import DisagreementLayer
from napari_amodal.widgets.mask_tools import MaskTools


class ToolsBox(QWidget):
    """Buttons for `MaskTools`; the frames that they work on stand on top."""

    def __init__(
        self,
        model: CompletionModel,
        tools: MaskTools,
        layer: DisagreementLayer,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model, self._tools, self._layer = model, tools, layer
        self._make_range()
        self._make_hypotheses()
        self._make_shape()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for row in (self._range_row, self._pick_row, self._divided_row):
            layout.addLayout(row)
        layout.addLayout(self._shape_grid)
        layout.addWidget(self.progress)
        layout.addWidget(self.contains)
        model.annotation.opened.connect(self._on_opened)
        model.annotation.history_changed.connect(self.refresh)
        model.annotation.current_changed.connect(self.refresh)
        model.masks_changed.connect(self.refresh)
        tools.changed.connect(self.refresh)
        tools.progressed.connect(lambda share: self.progress.setValue(round(1000 * share)))
        self._on_opened()

    # -- making -----------------------------------------------------------------------------------

    def _make_range(self) -> None:
        self.first, self.last = QSpinBox(), QSpinBox()
        for field in (self.first, self.last):
            field.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
            field.setMinimumWidth(40)
        self.whole = _button("All", "Work on all frames of the clip again")
        self.whole.clicked.connect(self._on_whole)
        tip = "The frames that hypotheses are taken on and masks copied to; Shift-drag in the "
        tip += "timeline selects them"
        self._range_row = QHBoxLayout()
        for widget in (QLabel("Frames"), self.first, QLabel("to"), self.last, self.whole):
            widget.setToolTip(widget.toolTip() or tip)
            self._range_row.addWidget(widget, int(isinstance(widget, QSpinBox)))

    def _make_hypotheses(self) -> None:
        self.choice = QComboBox()
        self.choice.setToolTip("The hypothesis that the shown frame has; another is taken at once")
        self.choice.activated.connect(self._on_choice)
        self.only_frame = QCheckBox("this frame")
        self.only_frame.setToolTip("Otherwise on all the frames above that are not locked")
        self._pick_row = QHBoxLayout()
        self._pick_row.addWidget(self.choice, 1)
        self._pick_row.addWidget(self.only_frame)
        self.divided = QCheckBox("Show where hypotheses disagree")
        self.divided.setToolTip("A layer of the shown frame: bright where half of them say so")
        self.divided.toggled.connect(self._layer.show)
        self._divided_row = QHBoxLayout()
        self._divided_row.addWidget(self.divided)

    def _make_shape(self) -> None:
        self._shape_grid = QGridLayout()
        self._shape_grid.setSpacing(4)
        tools = self._tools
        self.fill = _button("Fill holes", "Fill what the amodal mask of this frame encloses")
        self.smooth = _button("Smooth", "Smooth the outline of this frame's amodal mask")
        self.specks = _button("Drop specks", "Drop small parts of this frame's amodal mask")
        self.interpolate = _button(
            "Interpolate", "Fill between the locked frames on both sides, along the motion"
        )
        self.copy = _button(
            "Copy to", "Copy this frame's amodal mask to the frames above, with the motion"
        )
        self.unhide = _button(
            "Nothing hidden",
            "What is visible is all of the object: on this frame, or on the frames above where "
            "they are not the whole clip",
        )
        self.cancel = _button("Cancel", "Stop the tool")
        for button, done in (
            (self.fill, tools.fill_holes),
            (self.smooth, tools.smooth),
            (self.specks, tools.drop_specks),
            (self.interpolate, tools.interpolate),
            (self.copy, lambda: tools.copy_to(self.frames)),
            (self.unhide, self._on_nothing_hidden),
            (self.cancel, tools.cancel),
        ):
            button.clicked.connect(done)
        for column in range(3):
            self._shape_grid.setColumnStretch(column, 1)
        for column, button in enumerate((self.fill, self.smooth, self.specks)):
            self._shape_grid.addWidget(button, 0, column)
        for column, button in enumerate((self.interpolate, self.copy, self.cancel)):
            self._shape_grid.addWidget(button, 1, column)
        self._make_transform()
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.contains = QCheckBox("Amodal always contains visible")
        self.contains.setToolTip("Kept by every tool and by the brush")
        self.contains.clicked.connect(self._on_contains)

    def _make_transform(self) -> None:
        self.move_x, self.move_y = _number(-9999, 9999, 0, " px"), _number(-9999, 9999, 0, " px")
        self.scale = _number(1, 1000, 100, " %")
        self.turn = _number(-180, 180, 0, " °")
        self.apply = _button("Move", "Move, scale and turn this frame's amodal mask")
        self.apply.clicked.connect(self._on_transform)
        moving, shaping = QHBoxLayout(), QHBoxLayout()
        for label, field in (("Right", self.move_x), ("Down", self.move_y)):
            moving.addWidget(QLabel(label))
            moving.addWidget(field, 1)
        for field in (self.scale, self.turn):
            shaping.addWidget(field, 1)
        shaping.addWidget(self.apply)
        for field, tip in (
            (self.move_x, "To the right, in pixels"),
            (self.move_y, "Down, in pixels"),
            (self.scale, "Scale about the mask's centre"),
            (self.turn, "Turn about the mask's centre, anticlockwise"),
        ):
            field.setToolTip(tip)
            field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._shape_grid.addWidget(self.unhide, 4, 0, 1, 3)
        self._shape_grid.addLayout(moving, 2, 0, 1, 3)
        self._shape_grid.addLayout(shaping, 3, 0, 1, 3)

    # -- what the annotator does ------------------------------------------------------------------

    @property
    def frames(self) -> range:
        """The frames that are chosen."""
        return range(self.first.value(), max(self.first.value(), self.last.value()) + 1)

    @property
    def picked_frames(self) -> range:
        """The frames that a hypothesis is taken on."""
        frame = self._model.frame
        return range(frame, frame + 1) if self.only_frame.isChecked() else self.frames

    def select(self, frames: range) -> None:
        """Choose frames; an empty range is the whole clip."""
        if not self._model.annotation.is_open:
            return
        chosen = frames or range(self._model.annotation.state.shape[0])
        self.first.setValue(chosen[0])
        self.last.setValue(chosen[-1])

    def _on_whole(self) -> None:
        self.select(range(0))

    def _on_choice(self, row: int) -> None:
        choice = self.choice.itemData(row)
        self._tools.pick(int(choice), self.picked_frames)

    def _on_transform(self) -> None:
        self._tools.transform(
            (self.move_y.value(), self.move_x.value()),
            self.scale.value() / 100,
            self.turn.value(),
        )

    def _on_nothing_hidden(self) -> None:
        frame, is_whole = self._model.frame, len(self.frames) == self.last.maximum() + 1
        self._tools.nothing_hidden(range(frame, frame + 1) if is_whole else self.frames)

    def _on_contains(self, wanted: bool) -> None:
        annotation = self._model.annotation
        if annotation.history is not None:
            state = replace(annotation.history.state, amodal_contains_visible=wanted)
            annotation.apply(f"Amodal contains visible: {'on' if wanted else 'off'}", state)

    # -- what is shown ----------------------------------------------------------------------------

    def _on_opened(self) -> None:
        annotation = self._model.annotation
        last = annotation.state.shape[0] - 1 if annotation.is_open else 0
        for field in (self.first, self.last):
            field.setRange(0, last)
        self.select(range(0))
        self.refresh()

    def refresh(self) -> None:
        """Show what can be done, and which hypothesis the frame has."""
        annotation, tools = self._model.annotation, self._tools
        current = annotation.current_object
        count = 0 if current is None else len(current.hypotheses)
        titles = [(f"Hypothesis {n + 1} of {count}", n) for n in range(count)]
        titles += [("Consensus", CONSENSUS)] if count > 1 else []
        if [self.choice.itemData(n) for n in range(self.choice.count())] != [n for _, n in titles]:
            self.choice.clear()
            for title, choice in titles:
                self.choice.addItem(title, choice)
        if current is not None and count:
            row = self.choice.findData(current.picks[self._model.frame])
            self.choice.setCurrentIndex(row)
        self.choice.setEnabled(count > 0)
        self.choice.setPlaceholderText("no hypotheses yet: run first")
        self.divided.setEnabled(count > 1)
        has_mask = current is not None and current.amodal.boxes[self._model.frame] is not None
        for button in (self.fill, self.smooth, self.specks, self.copy, self.unhide, self.apply):
            button.setEnabled(has_mask and not tools.is_busy)
        self.interpolate.setEnabled(current is not None and not tools.is_busy)
        self.cancel.setEnabled(tools.is_busy)
        self.progress.setVisible(tools.is_busy)
        if annotation.is_open:
            self.contains.setChecked(annotation.state.amodal_contains_visible)


def _button(title: str, tip: str) -> QPushButton:
    button = QPushButton(title)
    button.setToolTip(tip)
    button.setMinimumWidth(40)
    return button


def _number(least: float, most: float, value: float, suffix: str) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setRange(least, most)
    field.setDecimals(0)
    field.setSuffix(suffix)
    field.setValue(value)
    field.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    field.setMinimumWidth(36)
    return field
