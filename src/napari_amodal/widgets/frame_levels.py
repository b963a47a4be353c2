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
        self._doubtful: dict[int, set[int]] = {}
        self._waiting: dict[int, None] = {}  # frames, in order, each once
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._look)

    @property
    def levels(self) -> dict[int, list[OcclusionLevel | None]]:
        """Object id to one level a frame; None where it is not known yet."""
        return self._levels

    @property
    def doubtful(self) -> dict[int, set[int]]:
        """Object id to the frames on which the tracker is unsure and nobody has corrected it."""
        return self._doubtful

    def follow_doubt(self) -> None:
        """Take up the confidence of a run that has ended."""
        if self._results is not None:
            for object_id, before in self._doubtful.items():
                self.look_at(sorted(before | self._results.doubtful_frames(object_id)))

    def follow(self, results: Results | None) -> None:
        """Take other results, or those of an object that was added."""
        ids = results.object_ids if results is not None else ()
        if results is self._results and list(ids) == list(self._levels):
            return
        self._results = results
        count = results.grid.shape[0] if results is not None else 0
        self._levels = {object_id: [None] * count for object_id in ids}
        self._doubtful = {object_id: set() for object_id in ids}
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
            for object_id in self._levels:
                self._look_at(self._results, object_id, frame)
            if time.monotonic() > until:
                break
        if not self._waiting:
            self._timer.stop()
        self.changed.emit()

    def _look_at(self, results: Results, object_id: int, frame: int) -> None:
        occlusion = results.occlusion(object_id, frame)
        self._levels[object_id][frame] = None if occlusion is None else occlusion.level
        if results.is_doubtful(object_id, frame):
            self._doubtful[object_id].add(frame)
        else:
            self._doubtful[object_id].discard(frame)
