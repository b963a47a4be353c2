"""A strip with one column a frame, coloured by the occlusion level; a click goes to the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.occlusion_view import LEVEL_COLORS

ROW_HEIGHT = 12
MARGIN = 3
UNKNOWN = QColor(127, 127, 127, 60)


class FrameStrip(QWidget):
    """One row an object, one column a frame, and a line where the viewer is.

    Signals
    -------
    frame_chosen : int
        The person clicked on or dragged to a frame.
    """

    frame_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._levels: Mapping[int, Sequence[OcclusionLevel | None]] = {}
        self._count = 0
        self._frame = 0
        self._image = QImage()
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_levels(self, levels: Mapping[int, Sequence[OcclusionLevel | None]]) -> None:
        """Draw other levels: object id to one level a frame, None where it is not known."""
        self._levels = levels
        self._count = max((len(row) for row in levels.values()), default=0)
        self.setFixedHeight(ROW_HEIGHT * max(len(levels), 1) + 2 * MARGIN)
        self._image = self._draw_image()
        self.update()

    def show_frame(self, frame: int) -> None:
        """Move the line."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    def _draw_image(self) -> QImage:
        image = QImage(max(self._count, 1), max(len(self._levels), 1), QImage.Format.Format_ARGB32)
        image.fill(UNKNOWN)
        for row, levels in enumerate(self._levels.values()):
            for frame, level in enumerate(levels):
                if level is not None:
                    image.setPixelColor(frame, row, QColor(LEVEL_COLORS[level]))
        return image

    def _frame_at(self, x: float) -> int:
        return min(max(int(x * self._count / max(self.width(), 1)), 0), self._count - 1)

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        if not self._count:
            return
        painter = QPainter(self)
        rows = QRectF(0, MARGIN, self.width(), self.height() - 2 * MARGIN)
        painter.drawImage(rows, self._image, QRectF(self._image.rect()))
        x = (self._frame + 0.5) * self.width() / self._count
        painter.setPen(QPen(self.palette().windowText().color(), 2))
        painter.drawLine(round(x), 0, round(x), self.height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None and self._count and event.buttons() & Qt.MouseButton.LeftButton:
            self.frame_chosen.emit(self._frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self.mousePressEvent(event)

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self._count:
            QToolTip.showText(event.globalPos(), self._tip(self._frame_at(event.pos().x())), self)
            return True
        return bool(super().event(event))

    def _tip(self, frame: int) -> str:
        known = [
            f"object {object_id}: {level.label}"
            for object_id, levels in self._levels.items()
            if (level := levels[frame]) is not None
        ]
        return f"Frame {frame}" + "".join(f"\n{line}" for line in known)
