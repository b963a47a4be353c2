"""The strip under the canvas: a row an object, a column a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import (
    QColor,
    QContextMenuEvent,
    QHelpEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QMenu, QSizePolicy, QToolTip, QWidget

from napari_amodal.annotation.object_annotation import with_level
from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.frame_facts import GRAVITY, UNKNOWN, Facts, FrameFacts, Mark
from napari_amodal.widgets.occlusion_view import LEVEL_COLORS
from napari_amodal.widgets.painting import frames_told

NAME_WIDTH, MARGIN = 84, 3
#: Rows of pixels of an object, top to bottom: level, doubt, disagreement, marks; and a gap.
LEVEL_HEIGHT, DOUBT_HEIGHT, DIVIDED_HEIGHT, MARK_HEIGHT, GAP = 10, 3, 3, 4, 3
ROW_HEIGHT = LEVEL_HEIGHT + DOUBT_HEIGHT + DIVIDED_HEIGHT + MARK_HEIGHT + GAP
DOUBT, DIVIDED = QColor("#9a7fd1"), QColor("#e0559d")
MARK_COLORS = {
    Mark.LEVEL: QColor("#f0f0f0"),
    Mark.LOCKED: QColor("#3f7fbf"),
    Mark.CORRECTED: QColor("#3fc3d6"),
    Mark.QUERY: QColor("#f2d53c"),
}
MARK_NAMES = {
    Mark.QUERY: "query",
    Mark.CORRECTED: "corrected by hand",
    Mark.LOCKED: "locked",
    Mark.LEVEL: "level by hand",
}
LEGEND = (
    "Top: green not hidden, yellow slightly, red half or more, grey out of the frame.\n"
    "Below: violet the tracker is unsure, pink the hypotheses disagree;\n"
    "yellow query, cyan corrected, blue locked, white level by hand.\n"
    "Click or drag: go there; Shift-drag: select frames; right-click: set the level."
)
_BACKGROUND = QColor(127, 127, 127, 40).rgba()
_LEVEL_PIXELS = np.array(
    [
        QColor(127, 127, 127, 60).rgba(),
        *(
            QColor(LEVEL_COLORS[OcclusionLevel(level)]).rgba()
            for level, _ in sorted(GRAVITY.items(), key=lambda pair: pair[1])
            if level != UNKNOWN
        ),
    ],
    np.uint32,
)
_GRAVITY = np.array([GRAVITY[level] for level in range(UNKNOWN, len(OcclusionLevel))], np.uint8)


class Timeline(QWidget):
    """Shows the facts of all frames; click or drag to go there, Shift-drag to select a range.

    The picture is drawn once a change, a column a pixel; a step draws that picture and a line.

    Signals
    -------
    range_selected : range
        Frames were selected with Shift; empty where the selection was lifted.
    """

    range_selected = Signal(object)

    def __init__(self, model: CompletionModel, facts: FrameFacts, parent: QWidget | None = None):
        super().__init__(parent)
        self._model, self._facts = model, facts
        self.selected = range(0)
        self._image = QImage()
        self._is_stale = True
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        facts.changed.connect(self.refresh)
        model.masks_changed.connect(self.update)
        model.annotation.current_changed.connect(self.update)
        model.annotation.opened.connect(self._on_opened)
        self.refresh()

    # -- what is shown ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Draw anew before the next look."""
        self._is_stale = True
        rows = max(len(self._facts.facts), 1)
        self.setMinimumHeight(min(rows, 6) * ROW_HEIGHT + 2 * MARGIN)
        self.update()

    def _on_opened(self) -> None:
        self.selected = range(0)
        self.refresh()

    @property
    def frames(self) -> int:
        """Frames of the clip; 0 while none is open."""
        annotation = self._model.annotation
        return annotation.state.shape[0] if annotation.is_open else 0

    def _draw(self) -> None:
        """Draw all columns to the picture."""
        width = max(self.width() - NAME_WIDTH - MARGIN, 1)
        facts = self._facts.facts
        pixels = np.full((max(len(facts), 1) * ROW_HEIGHT, width), 0, np.uint32)
        if self.frames:
            for row, known in enumerate(facts.values()):
                _draw_row(pixels[row * ROW_HEIGHT : (row + 1) * ROW_HEIGHT], known)
        form = QImage.Format.Format_ARGB32
        self._image = QImage(pixels.tobytes(), width, len(pixels), 4 * width, form).copy()
        self._is_stale = False

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        painter = QPainter(self)
        ink = self.palette().windowText().color()
        painter.setPen(ink)
        if not self.frames or not self._facts.facts:
            told = "No object yet: paint one, or click it" if self.frames else "No clip is open"
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, told)
            return
        if self._is_stale:
            self._draw()
        painter.drawImage(NAME_WIDTH, MARGIN, self._image)
        for row, (object_id, annotated) in enumerate(self._model.annotation.objects.items()):
            top, chip = MARGIN + row * ROW_HEIGHT, QColor(annotated.color)
            painter.fillRect(3, top + 2, 7, 14, chip)
            font = painter.font()
            font.setBold(object_id == self._model.annotation.current)
            painter.setFont(font)
            room = NAME_WIDTH - 18
            name = painter.fontMetrics().elidedText(
                annotated.name, Qt.TextElideMode.ElideRight, room
            )
            painter.drawText(QRectF(14, top, room, 18), Qt.AlignmentFlag.AlignVCenter, name)
        if self.selected:
            first, last = self._x_of(self.selected[0]), self._x_of(self.selected[-1] + 1)
            shade = QColor(ink)
            shade.setAlpha(45)
            painter.fillRect(QRectF(first, 0, max(last - first, 1), self.height()), shade)
        painter.setPen(QPen(ink, 2))
        x = round(self._x_of(self._model.frame + 0.5))
        painter.drawLine(x, 0, x, self.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        self._is_stale = True
        super().resizeEvent(event)

    # -- where things are -------------------------------------------------------------------------

    def _x_of(self, frame: float) -> float:
        width = max(self.width() - NAME_WIDTH - MARGIN, 1)
        return NAME_WIDTH + frame * width / max(self.frames, 1)

    def frame_at(self, x: float) -> int:
        """The frame at a place of the strip, inside the clip."""
        width = max(self.width() - NAME_WIDTH - MARGIN, 1)
        frame = int((x - NAME_WIDTH) * self.frames / width)
        return min(max(frame, 0), self.frames - 1)

    def object_at(self, y: float) -> int | None:
        """The object of a row."""
        ids = list(self._facts.facts)
        row = int((y - MARGIN) // ROW_HEIGHT)
        return ids[row] if 0 <= row < len(ids) else None

    # -- what the annotator does ------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is None or not self.frames or event.button() != Qt.MouseButton.LeftButton:
            return
        object_id = self.object_at(event.position().y())
        if object_id is not None:
            self._model.annotation.current = object_id
        frame = self.frame_at(event.position().x())
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._select(range(frame, frame + 1))
        elif event.position().x() >= NAME_WIDTH:
            if self.selected:
                self._select(range(0))
            self._model.go_to(frame)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is None or not self.frames or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        frame = self.frame_at(event.position().x())
        if self.selected and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            start = self.selected.start if frame >= self.selected.start else self.selected[-1]
            self._select(range(min(start, frame), max(start, frame) + 1))
        elif frame != self._model.frame:
            self._model.go_to(frame)

    def _select(self, frames: range) -> None:
        self.selected = frames
        self.range_selected.emit(frames)
        self.update()

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        if event is None or not self.frames:
            return
        object_id = self.object_at(event.pos().y())
        if object_id is not None:
            self.level_menu(object_id, self.frame_at(event.pos().x())).exec(event.globalPos())

    def level_menu(self, object_id: int, frame: int) -> QMenu:
        """What a right click on a frame offers: its level, or that of the selected range."""
        frames = list(self.selected) if frame in self.selected else [frame]
        menu = QMenu(self)
        menu.addSection(f"Level of {frames_told(frames)}")
        for level in (*reversed(OcclusionLevel), None):
            title = "follow from the masks" if level is None else level.label
            action = menu.addAction(title)
            assert action is not None
            action.triggered.connect(
                lambda _=False, level=level: self.set_level(object_id, frames, level)
            )
        return menu

    def set_level(self, object_id: int, frames: list[int], level: OcclusionLevel | None) -> None:
        """Set the level of frames by hand, or let it follow from the masks; one step."""
        what = "from the masks" if level is None else f"by hand: {level.label}"
        self._model.annotation.change(
            f"Level {what}, {frames_told(frames)}",
            object_id,
            lambda annotated: with_level(annotated, frames, level),
        )

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self.frames:
            object_id = self.object_at(event.pos().y())
            QToolTip.showText(
                event.globalPos(), self.tip(object_id, self.frame_at(event.pos().x())), self
            )
            return True
        return bool(super().event(event))

    def tip(self, object_id: int | None, frame: int) -> str:
        """A frame of an object in words."""
        if object_id is None:
            return LEGEND
        facts = self._facts.facts[object_id]
        lines = [f"Frame {frame}, {self._model.annotation.objects[object_id].name}"]
        if facts.levels[frame] != UNKNOWN:
            lines.append(f"occlusion: {OcclusionLevel(int(facts.levels[frame])).label}")
        marks = [name for mark, name in MARK_NAMES.items() if facts.marks[frame] & mark]
        if marks:
            lines.append(", ".join(marks))
        if facts.doubt[frame] > 0:
            lines.append(f"tracker's confidence {1 - facts.doubt[frame]:.2f}")
        if facts.disagreement[frame] > 0:
            lines.append(f"hypotheses disagree on {100 * facts.disagreement[frame]:.0f} %")
        return "\n".join(lines)


def _draw_row(pixels: NDArray[np.uint32], facts: Facts) -> None:
    """Draw an object's frames to its rows; of frames that share a column the gravest counts."""
    count, width = len(facts.levels), pixels.shape[1]
    if count >= width:
        starts = (np.arange(width) * count) // width

        def gathered(values: NDArray[Any], how: np.ufunc = np.maximum) -> NDArray[Any]:
            return np.asarray(how.reduceat(values, starts))
    else:
        frames = (np.arange(width) * count) // width

        def gathered(values: NDArray[Any], how: np.ufunc = np.maximum) -> NDArray[Any]:
            return np.asarray(values[frames])

    top = 0
    pixels[top : top + LEVEL_HEIGHT] = _LEVEL_PIXELS[gathered(_GRAVITY[facts.levels + 1])]
    top += LEVEL_HEIGHT
    for share, color, height in (
        (gathered(facts.doubt), DOUBT, DOUBT_HEIGHT),
        (gathered(facts.disagreement), DIVIDED, DIVIDED_HEIGHT),
    ):
        pixels[top : top + height] = _shades(share, color)
        top += height
    marks = gathered(facts.marks, np.bitwise_or)
    line = np.full(width, _BACKGROUND, np.uint32)
    for mark, color in MARK_COLORS.items():
        line[(marks & mark) > 0] = color.rgba()
    pixels[top : top + MARK_HEIGHT] = line


def _shades(share: NDArray[np.float32], color: QColor) -> NDArray[np.uint32]:
    """A colour as strong as the share says."""
    alpha = np.where(share > 0.05, 40 + 215 * np.clip(share, 0, 1), 0).astype(np.uint32)
    rgb = np.uint32(color.rgba() & 0xFFFFFF)
    return np.asarray((alpha << np.uint32(24)) | rgb, np.uint32)
