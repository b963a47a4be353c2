"""The occlusion level of every frame, kept up to date while the window has time."""

from __future__ import annotations

import time
from collections.abc import Iterable

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.results import Results

#: Pause between turns (ms), and how long a turn may take (s).
PAUSE_MS = 15
BUDGET = 0.006


class FrameLevels(QObject):
    """Levels by object and frame, from the masks as they are now; found a little at a time."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results: Results | None = None
        self._levels: dict[int, list[OcclusionLevel | None]] = {}
        self._waiting: dict[int, None] = {}  # frames, in order, each once
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._look)

    @property
    def levels(self) -> dict[int, list[OcclusionLevel | None]]:
        """Object id to one level a frame; None where it is not known yet."""
        return self._levels

    def follow(self, results: Results | None) -> None:
        """Take other results, or those of an object that was added."""
        ids = results.object_ids if results is not None else ()
        if results is self._results and list(ids) == list(self._levels):
            return
        self._results = results
        count = results.grid.shape[0] if results is not None else 0
        self._levels = {object_id: [None] * count for object_id in ids}
        self._waiting.clear()
        self.look_at(range(count))
        self.changed.emit()

    def look_at(self, frames: Iterable[int]) -> None:
        """Look at frames (again), those that wait already not sooner."""
        if self._results is not None:
            self._waiting.update(dict.fromkeys(frames))
            if self._waiting:
                self._timer.start()

    def _look(self) -> None:
        until = time.monotonic() + BUDGET
        while self._waiting and self._results is not None:
            frame = next(iter(self._waiting))
            del self._waiting[frame]
            for object_id, levels in self._levels.items():
                occlusion = self._results.occlusion(object_id, frame)
                levels[frame] = None if occlusion is None else occlusion.level
            if time.monotonic() > until:
                break
        if not self._waiting:
            self._timer.stop()
        self.changed.emit()
