"""Tells when a Labels layer was painted in, and on which frames, once the stroke is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.widgets.strokes import frames_of, last_strokes, stroke_counts

#: Wait after a stroke (ms), and after a mere redrawing: a script may have written to the pixels.
STROKE_MS, REDRAWN_MS = 30, 200


class StrokeWatch(QObject):
    """Follows one layer.

    Parameters
    ----------
    layer : napari.layers.Labels
    shown_frame : callable
        Gives the frame that the viewer shows.

    Signals
    -------
    begun : int
        A frame is being painted; it is told again with every move of the brush.
    painted : frozenset of int
        A stroke, a fill, an undo, or other data: the frames that it may have changed.
    """

    begun = Signal(int)
    painted = Signal(object)

    def __init__(
        self, layer: Labels, shown_frame: Callable[[], int], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._layer = layer
        self._shown_frame = shown_frame
        self._counts = stroke_counts(layer)
        self._ends = last_strokes(layer)
        self._frames: set[int] = set()
        self._is_redrawn = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.settle)
        self._events = {
            layer.events.paint: self._on_paint,
            layer.events.labels_update: self._on_brush,
            layer.events.set_data: self._on_drawn,
            layer.events.data: self._on_data,
        }
        for event, heard in self._events.items():
            event.connect(heard)

    def stop(self) -> None:
        for event, heard in self._events.items():
            event.disconnect(heard)
        self._timer.stop()
        self.deleteLater()

    def settle(self) -> None:
        """Tell what was painted until now."""
        self._timer.stop()
        frames = self._frames | ({self._shown_frame()} if self._is_redrawn else set())
        self._frames, self._is_redrawn = set(), False
        if frames:
            self.painted.emit(frozenset(frames))

    def _on_paint(self, event: Any) -> None:
        self._counts, self._ends = stroke_counts(self._layer), last_strokes(self._layer)
        self._frames |= frames_of(event.value, self._layer.data.shape[0])
        self._timer.start(STROKE_MS)

    def _on_brush(self, event: Any) -> None:
        frame = self._shown_frame()
        self._frames.add(frame)
        self.begun.emit(frame)

    def _on_drawn(self, event: Any = None) -> None:
        counts = stroke_counts(self._layer)
        if counts != self._counts:  # napari's undo or redo
            self._frames |= self._ends
            self._counts, self._ends = counts, last_strokes(self._layer)
            self._frames |= self._ends
            self._timer.start(STROKE_MS)
            return
        self._is_redrawn = True
        self._timer.start(REDRAWN_MS)  # not before the viewer rests: it may be playing

    def _on_data(self, event: Any = None) -> None:
        self._frames.update(range(self._layer.data.shape[0]))
        self._timer.start(STROKE_MS)
