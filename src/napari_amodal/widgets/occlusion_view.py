"""The occlusion level and amount of the shown frame, one row an object."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QWidget

from napari_amodal.levels import FrameOcclusion, OcclusionLevel

#: Colours of the levels, readable on a dark and on a light ground.
LEVEL_COLORS = {
    OcclusionLevel.NO_OCCLUSION: "#2e9e5b",
    OcclusionLevel.SLIGHT_OCCLUSION: "#d99a1c",
    OcclusionLevel.SEVERE_OCCLUSION: "#d6453d",
    OcclusionLevel.NONE: "#7d8590",
}


class OcclusionView(QWidget):
    """Rows of a name, the level in words and the hidden share as a bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(2, 1)
        self._rows: dict[int, tuple[QLabel, QLabel, QProgressBar]] = {}

    def show_levels(self, occlusions: Mapping[int, FrameOcclusion | None]) -> None:
        """Show what is known of the frame, by object id; None where nothing is known yet."""
        if list(occlusions) != list(self._rows):
            self._make_rows(list(occlusions))
        for object_id, occlusion in occlusions.items():
            _, level, bar = self._rows[object_id]
            if occlusion is None:
                level.setText("not known yet")
                bar.setVisible(False)
                continue
            color = LEVEL_COLORS[occlusion.level]
            level.setText(f'<span style="color:{color}">●</span> {occlusion.level.label}')
            amount = occlusion.amount
            bar.setVisible(amount is not None)
            bar.setValue(round(100 * (amount or 0)))
            bar.setFormat(f"{100 * (amount or 0):.0f} % hidden")

    def text(self, object_id: int) -> str:
        """The row of an object in plain words."""
        _, level, bar = self._rows[object_id]
        words = level.text().rpartition("> ")[2]
        return words if bar.isHidden() else f"{words}, {bar.format()}"

    def _make_rows(self, object_ids: list[int]) -> None:
        for row in self._rows.values():
            for widget in row:
                self._grid.removeWidget(widget)
                widget.deleteLater()
        self._rows = {object_id: self._row(n, object_id) for n, object_id in enumerate(object_ids)}

    def _row(self, row: int, object_id: int) -> tuple[QLabel, QLabel, QProgressBar]:
        name = QLabel(f"Object {object_id}")
        level = QLabel()
        level.setTextFormat(Qt.TextFormat.RichText)
        level.setToolTip("Up to 0.5 % hidden: none; below half: slight; from half on: severe")
        bar = QProgressBar()
        bar.setRange(0, 100)
        bar.setToolTip("Share of the amodal mask that the visible mask does not cover")
        for column, widget in enumerate((name, level, bar)):
            self._grid.addWidget(widget, row, column)
        return name, level, bar
