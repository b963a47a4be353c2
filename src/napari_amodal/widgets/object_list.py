"""The objects of the clip: names, colours, visibility, status; adding, deleting, merging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_amodal.annotation.clip_annotation import merged, without_object
from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.frame_levels import is_known

SHOWN, COLOR, NAME, STATUS = range(4)
#: Rows that are shown before the list scrolls.
MOST_ROWS = 4


class ObjectList(QWidget):
    """A row an object; the selected one is the one that tools work on.

    Signals
    -------
    run_wanted : int
        One object alone is to be completed.
    """

    run_wanted = Signal(int)

    def __init__(self, annotation: AnnotationModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._annotation = annotation
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(["", "", "Object", "Status"])
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None and rows is not None
        header.setVisible(False)
        rows.setVisible(False)
        self._row_height = rows.defaultSectionSize()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        for column in (SHOWN, COLOR):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.table.setColumnWidth(column, 26)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(STATUS, QHeaderView.ResizeMode.ResizeToContents)
        self.add = self._button("Add", "Add an object, then paint its query", self._on_add)
        self.delete = self._button("Delete", "Delete the selected objects", self._on_delete)
        self.merge = self._button(
            "Merge", "Make one object of those that are selected (Ctrl+click)", self._on_merge
        )
        self.complete = self._button(
            "Run this one", "Complete the selected object alone", self._on_complete
        )
        buttons = QHBoxLayout()
        for button in (self.add, self.delete, self.merge, self.complete):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        self.table.itemChanged.connect(self._on_item_changed)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        annotation.opened.connect(self.refresh)
        annotation.objects_changed.connect(self.refresh)
        annotation.history_changed.connect(self._show_status)
        annotation.current_changed.connect(self._select_current)
        self.refresh()

    def _button(self, text: str, tip: str, pressed: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda: pressed())
        return button

    # -- what is shown ----------------------------------------------------------------------------

    @property
    def selected(self) -> list[int]:
        """Ids of the selected objects, ascending."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        ids = list(self._annotation.objects)
        return [ids[row] for row in sorted(rows) if row < len(ids)]

    def refresh(self) -> None:
        """Make the rows anew."""
        objects = self._annotation.objects
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(objects))
            for row, annotated in enumerate(objects.values()):
                self._fill(row, annotated)
        self.table.setFixedHeight(self._row_height * min(max(len(objects), 1), MOST_ROWS) + 4)
        self._select_current()
        self._show_status()

    def _fill(self, row: int, annotated: ObjectAnnotation) -> None:
        shown = QTableWidgetItem()
        shown.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        state = Qt.CheckState.Checked if annotated.is_shown else Qt.CheckState.Unchecked
        shown.setCheckState(state)
        shown.setToolTip("Show its layers")
        color = QTableWidgetItem()
        color.setFlags(Qt.ItemFlag.ItemIsEnabled)
        color.setBackground(QColor(annotated.color))
        color.setToolTip("Double-click for another colour")
        name = QTableWidgetItem(annotated.name)
        name.setToolTip("Double-click to rename")
        status = QTableWidgetItem()
        status.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        for column, item in ((SHOWN, shown), (COLOR, color), (NAME, name), (STATUS, status)):
            self.table.setItem(row, column, item)

    def _show_status(self) -> None:
        with QSignalBlocker(self.table):
            for row, annotated in enumerate(self._annotation.objects.values()):
                item = self.table.item(row, STATUS)
                if item is not None:
                    item.setText(status_of(annotated))
        self._enable()

    def _enable(self) -> None:
        selected = self.selected
        self.add.setEnabled(self._annotation.is_open)
        self.delete.setEnabled(bool(selected))
        self.merge.setEnabled(len(selected) > 1)
        self.complete.setEnabled(len(selected) == 1)

    def _select_current(self) -> None:
        ids = list(self._annotation.objects)
        current = self._annotation.current
        if current in ids and current not in self.selected:
            with QSignalBlocker(self.table):
                self.table.selectRow(ids.index(current))
        self._enable()

    # -- what the annotator does ------------------------------------------------------------------

    def _on_selection(self) -> None:
        selected = self.selected
        if selected and self._annotation.current not in selected:
            self._annotation.current = selected[0]
        self._enable()

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        ids = list(self._annotation.objects)
        if item.row() >= len(ids):
            return
        object_id = ids[item.row()]
        before = self._annotation.objects[object_id]
        if item.column() == SHOWN:
            is_shown = item.checkState() == Qt.CheckState.Checked
            label = f"{'Show' if is_shown else 'Hide'} {before.name}"
            self._annotation.change(label, object_id, lambda o: replace(o, is_shown=is_shown))
        elif item.column() == NAME and item.text().strip() not in ("", before.name):
            name = item.text().strip()
            label = f"Rename {before.name}"
            self._annotation.change(label, object_id, lambda o: replace(o, name=name))
        else:
            self.refresh()

    def _on_double_click(self, row: int, column: int) -> None:
        ids = list(self._annotation.objects)
        if column != COLOR or row >= len(ids):
            return
        before = self._annotation.objects[ids[row]]
        color = QColorDialog.getColor(QColor(before.color), self, f"Colour of {before.name}")
        if color.isValid():
            label = f"Colour of {before.name}"
            self._annotation.change(label, ids[row], lambda o: replace(o, color=color.name()))

    def _on_add(self) -> None:
        self._annotation.add_object()

    def _on_delete(self) -> None:
        history = self._annotation.history
        selected = self.selected
        if history is None or not selected:
            return
        state = history.state
        names = " and ".join(self._annotation.objects[object_id].name for object_id in selected)
        for object_id in selected:
            state = without_object(state, object_id)
        self._annotation.apply(f"Delete {names}", state)

    def _on_merge(self) -> None:
        history = self._annotation.history
        selected = self.selected
        if history is None or len(selected) < 2:
            return
        state, into = history.state, selected[0]
        for other in selected[1:]:
            state = merged(state, into, other)
        names = " and ".join(self._annotation.objects[object_id].name for object_id in selected)
        self._annotation.apply(f"Merge {names}", state)

    def _on_complete(self) -> None:
        if self.selected:
            self.run_wanted.emit(self.selected[0])


def status_of(annotated: ObjectAnnotation) -> str:
    """How far an object is, in a few words."""
    count = len(annotated)
    known = sum(is_known(annotated, frame) for frame in range(count))
    if not known:
        return "query painted" if annotated.query_frames else "paint its query"
    if known < count:
        return f"{known} of {count} frames"
    locked = len(annotated.locked)
    return f"done, {locked} locked" if locked else "done"
