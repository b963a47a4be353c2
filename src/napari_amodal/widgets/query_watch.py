"""What is painted in the query layer, found a little at a time so that the window stays live."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from napari.components import Dims
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.widgets.layer_clip import current_frame
from napari_amodal.widgets.query_layer import edit_events, painted_labels

#: Readable on a dark and on a light ground.
LINK_COLOR = "#4c8dff"

#: Seconds of each turn of the event loop that the search may take.
BUDGET = 0.006


class QueryWatch(QObject):
    """Follows the frames that are painted in a layer.

    It is a hint for the annotator; a run reads the layer itself. Layers that are not in memory are
    not searched.
    """

    changed = Signal()

    def __init__(self, dims: Dims, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dims = dims
        self._layer: Labels | None = None
        self._painted: dict[int, tuple[int, ...]] = {}
        self._next = 0
        self._edit_timer = QTimer(self)  # brushes report before they have painted, and often
        self._edit_timer.setSingleShot(True)
        self._edit_timer.setInterval(60)
        self._edit_timer.timeout.connect(self._look_again)
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._search)

    def follow(self, layer: Labels | None) -> None:
        """Search another layer, or none."""
        if layer is self._layer:
            return
        if self._layer is not None:
            for event in edit_events(self._layer):
                event.disconnect(self._on_edit)
        self._layer, self._painted, self._next = layer, {}, 0
        if layer is not None:
            for event in edit_events(layer):
                event.connect(self._on_edit)
        if self._is_searchable:
            self._timer.start()
        self.changed.emit()

    @property
    def painted(self) -> dict[int, tuple[int, ...]]:
        """Frame to the labels that are painted on it, as far as the search has come."""
        return self._painted

    def look_at(self, frame: int) -> None:
        """Look at a frame that was written to without a stroke."""
        if self._is_searchable:
            before = self._painted.get(frame)
            self._look_at(frame)
            if before != self._painted.get(frame):
                self.changed.emit()

    @property
    def text(self) -> str:
        """What is painted where (rich text, frames as links), or what to do."""
        if self._layer is None:
            return ""
        if not self._is_searchable:
            return "The painted frames are looked up when you run."
        frames: dict[int, list[int]] = {}
        for frame, labels in sorted(self._painted.items()):
            for label in labels:
                frames.setdefault(label, []).append(frame)
        if not frames:
            return "" if self._timer.isActive() else "Paint the object where all of it is visible."
        found = [
            f"object {label} on frame{'s' * (len(on) > 1)} {_links(on)}"
            for label, on in sorted(frames.items())
        ]
        return "Painted: " + "; ".join(found[:4]) + (" …" if len(found) > 4 else "")

    @property
    def _is_searchable(self) -> bool:
        layer = self._layer
        return layer is not None and isinstance(layer.data, np.ndarray) and layer.data.ndim == 3

    def _search(self) -> None:
        until = time.monotonic() + BUDGET
        while self._layer is not None and self._next < self._layer.data.shape[0]:
            self._look_at(self._next)
            self._next += 1
            if time.monotonic() > until:
                return
        self._timer.stop()
        self.changed.emit()

    def _look_at(self, frame: int) -> None:
        assert self._layer is not None
        labels = painted_labels(self._layer.data[frame])
        if labels:
            self._painted[frame] = labels
        else:
            self._painted.pop(frame, None)

    def _on_edit(self, event: Any = None) -> None:
        if not self._edit_timer.isActive():
            self._edit_timer.start()

    def _look_again(self) -> None:
        if self._layer is None or not self._is_searchable or self._timer.isActive():
            return
        before = dict(self._painted)
        # Painting may reach other frames (3D brush, undo): those that we know of, too.
        for frame in {current_frame(self._layer, self._dims.point), *self._painted}:
            self._look_at(frame)
        if before != self._painted:
            self.changed.emit()
        if not self._painted:  # a script may have painted a frame that is not shown
            self._next = 0
            self._timer.start()


def _links(frames: list[int], at_most: int = 4) -> str:
    """Frame numbers as links, shortened where there are many."""
    links = [
        f'<a href="{frame}" style="color: {LINK_COLOR}">{frame}</a>' for frame in frames[:at_most]
    ]
    return ", ".join(links) + (" …" if len(frames) > at_most else "")
