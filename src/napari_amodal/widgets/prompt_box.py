"""Buttons for pointing at the object, in the panel beside the query."""

from __future__ import annotations

from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_amodal.errors import CallError
from napari_amodal.registry import prompter_names, prompter_type
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.prompting import Prompting

HOW = "Click the object; Alt or right click beside it takes away; drag a box around it."


class PromptBox(QWidget):
    """The mode, a reset, and which method makes the masks."""

    def __init__(
        self, model: CompletionModel, prompting: Prompting, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._model, self._prompting = model, prompting
        self.point = QPushButton("Click the object")
        self.point.setCheckable(True)
        self.point.setToolTip(HOW + " Every click is a step of Undo.")
        self.reset = QPushButton("Reset")
        self.reset.setToolTip("Forget the clicks and the query mask of this frame")
        self.methods = QComboBox()
        self.methods.setToolTip("What makes a mask of the clicks")
        for name in prompter_names():
            self._add(name)
        self.methods.setCurrentIndex(self.methods.findData(prompting.method))
        self.how = QLabel(HOW)
        self.how.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.point, 1)
        row.addWidget(self.reset)
        row.addWidget(self.methods)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.how)
        self.point.clicked.connect(self.toggle)
        self.reset.clicked.connect(prompting.reset)
        self.methods.activated.connect(self._on_method)
        prompting.changed.connect(self.refresh)
        model.changed.connect(self.refresh)
        model.masks_changed.connect(self.refresh)
        self.refresh()

    def _add(self, name: str) -> None:
        try:
            kind = prompter_type(name)
        except CallError:  # another package's, half installed
            return
        lacking = kind.missing()
        self.methods.addItem(kind.title, name)
        if lacking:
            row = self.methods.count() - 1
            model = self.methods.model()
            assert isinstance(model, QStandardItemModel)
            item = model.item(row)
            assert item is not None
            item.setEnabled(False)
            item.setToolTip("\n".join(lacking))

    def toggle(self) -> None:
        """Begin to point, or end it."""
        if self._prompting.is_on:
            self._prompting.stop()
        else:
            self._prompting.start()
        self.refresh()

    def _on_method(self, row: int) -> None:
        self._prompting.method = self.methods.itemData(row)

    def refresh(self) -> None:
        prompting, current = self._prompting, self._model.annotation.current_object
        self.point.setEnabled(self._model.annotation.is_open)
        self.point.setChecked(prompting.is_on)
        self.point.setText("Done clicking" if prompting.is_on else "Click the object")
        self.how.setVisible(prompting.is_on)
        frame = self._model.frame
        has = current is not None and (frame in current.clicks or frame in current.query_frames)
        self.reset.setEnabled(has)
