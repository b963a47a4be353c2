"""A strip with one column a frame, coloured by the occlusion level; a click goes to the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.occlusion_view import LEVEL_COLORS

ROW_HEIGHT = 12
#: Of the line under a row, where the tracker is unsure, with the gap above it.
DOUBT_HEIGHT, GAP = 3, 1
DOUBT_PIXEL = QColor("#9a7fd1").rgba()
MARGIN = 3
LEVEL_PIXELS: dict[OcclusionLevel | None, int] = {
    None: QColor(127, 127, 127, 60).rgba(),
    **{level: QColor(color).rgba() for level, color in LEVEL_COLORS.items()},
}


class FrameStrip(QWidget):
    """One row an object, one column a frame, and a line where the viewer is.

    A thin violet line runs under the frames on which the tracker is unsure.

    Signals
    -------
    frame_chosen : int
        The person clicked on or dragged to a frame.
    """

    frame_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._levels: Mapping[int, Sequence[OcclusionLevel | None]] = {}
        self._doubtful: Mapping[int, Set[int]] = {}
        self._count = 0
        self._frame = 0
        self._image = QImage()
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_levels(
        self,
        levels: Mapping[int, Sequence[OcclusionLevel | None]],
        doubtful: Mapping[int, Set[int]],
    ) -> None:
        """Draw other levels.

        Parameters
        ----------
        levels : mapping
            Object id to one level a frame, None where it is not known.
        doubtful : mapping
            Object id to the frames on which the tracker is unsure.
        """
        self._levels, self._doubtful = levels, doubtful
        self._count = max((len(row) for row in levels.values()), default=0)
        self.setFixedHeight(self._row_height * max(len(levels), 1) + 2 * MARGIN)
        self._image = self._draw_image()
        self.update()

    def show_frame(self, frame: int) -> None:
        """Move the line."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    @property
    def _row_height(self) -> int:
        return ROW_HEIGHT + (GAP + DOUBT_HEIGHT) * any(self._doubtful.values())

    def _draw_image(self) -> QImage:
        """A pixel a frame across, the screen's pixels down."""
        height = self._row_height
        rows = max(len(self._levels), 1)
        pixels = np.zeros((rows * height, max(self._count, 1)), np.uint32)
        for row, (object_id, levels) in enumerate(self._levels.items()):
            top = row * height
            pixels[top : top + ROW_HEIGHT, : len(levels)] = [
                LEVEL_PIXELS[level] for level in levels
            ]
            doubtful = list(self._doubtful.get(object_id, ()))
            pixels[top + ROW_HEIGHT + GAP : top + height, doubtful] = DOUBT_PIXEL
        count = pixels.shape[1]
        form = QImage.Format.Format_ARGB32
        return QImage(pixels.tobytes(), count, len(pixels), 4 * count, form).copy()

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
            + "; the tracker is unsure here" * (frame in self._doubtful.get(object_id, ()))
            for object_id, levels in self._levels.items()
            if (level := levels[frame]) is not None
        ]
        return f"Frame {frame}" + "".join(f"\n{line}" for line in known)
