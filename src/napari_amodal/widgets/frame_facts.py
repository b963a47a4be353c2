"""What the timeline shows of every frame, kept up to date while the window has time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.annotation.worth import divided, flicker, tracker_doubt
from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.frame_levels import FrameLevels

#: Pause between turns (ms), and how long a turn may take (s).
PAUSE_MS, BUDGET = 60, 0.006
#: In place of a level where none is known.
UNKNOWN = -1


class Mark(IntFlag):
    """What a hand has done on a frame."""

    QUERY = 1
    CORRECTED = 2
    LOCKED = 4
    LEVEL = 8


@dataclass
class Facts:
    """What is known of an object's frames, each array ``(T,)``.

    Attributes
    ----------
    levels : ndarray
        int8, an `OcclusionLevel` or `UNKNOWN`.
    doubt, disagreement : ndarray
        float32, 0..1: the tracker's doubt, and how far the hypotheses disagree.
    marks : ndarray
        uint8, of `Mark`.
    """

    levels: NDArray[np.int8]
    doubt: NDArray[np.float32]
    disagreement: NDArray[np.float32]
    marks: NDArray[np.uint8]

    @classmethod
    def unknown(cls, frames: int) -> Facts:
        nothing = np.zeros(frames, np.float32)
        levels = np.full(frames, UNKNOWN, np.int8)
        return cls(levels, nothing, nothing.copy(), np.zeros(frames, np.uint8))

    @property
    def worth(self) -> NDArray[np.float32]:
        """How much a frame is worth a look, float32 ``(T,)``, 0..1."""
        settled = (self.marks & ~np.uint8(Mark.QUERY)) > 0
        doubt = np.maximum(self.doubt, self.disagreement)
        return np.maximum(doubt, flicker(self.levels, settled))


class FrameFacts(QObject):
    """The facts of every object."""

    changed = Signal()

    def __init__(
        self, annotation: AnnotationModel, levels: FrameLevels, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._annotation, self._levels = annotation, levels
        self.facts: dict[int, Facts] = {}
        self._waiting: dict[tuple[int, int], None] = {}
        self._stale: set[int] = set()
        self._are_levels_stale = False
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._look)
        annotation.opened.connect(self._begin)
        annotation.objects_changed.connect(self._on_objects)
        annotation.frames_changed.connect(self._on_frames)
        levels.changed.connect(self._on_levels)
        self._begin()

    def _begin(self) -> None:
        self.facts = {}
        self._waiting.clear()
        self._on_objects()

    def _on_objects(self) -> None:
        objects = self._annotation.objects
        for object_id, annotated in objects.items():
            if object_id not in self.facts:
                self.facts[object_id] = Facts.unknown(len(annotated))
                self._on_frames(object_id, frozenset(range(len(annotated))))
        self.facts = {object_id: self.facts[object_id] for object_id in objects}
        self.changed.emit()

    def _on_frames(self, object_id: int, frames: frozenset[int]) -> None:
        if object_id in self.facts:
            self._stale.add(object_id)
            annotated = self._annotation.objects[object_id]
            if len(annotated.hypotheses) > 1:
                self._waiting.update(dict.fromkeys((object_id, frame) for frame in sorted(frames)))
            self._timer.start()

    def _on_levels(self) -> None:
        self._are_levels_stale = True
        self._timer.start()

    def _look(self) -> None:
        objects = self._annotation.objects
        if self._are_levels_stale:
            self._are_levels_stale = False
            for object_id, levels in self._levels.levels.items():
                facts = self.facts.get(object_id)
                if facts is not None and len(levels) == len(facts.levels):
                    known = (UNKNOWN if level is None else int(level) for level in levels)
                    facts.levels[:] = np.fromiter(known, np.int8, len(levels))
        for object_id in self._stale & objects.keys():
            _take(self.facts[object_id], objects[object_id])
        self._stale.clear()
        until = time.monotonic() + BUDGET
        while self._waiting and time.monotonic() < until:
            object_id, frame = next(iter(self._waiting))
            del self._waiting[object_id, frame]
            if object_id in objects:
                self.facts[object_id].disagreement[frame] = divided(objects[object_id], frame)
        if not self._waiting:
            self._timer.stop()
        self.changed.emit()


def _take(facts: Facts, annotated: ObjectAnnotation) -> None:
    """Take all that costs no mask."""
    facts.doubt[:] = tracker_doubt(annotated)
    facts.marks[:] = 0
    for mark, frames in (
        (Mark.QUERY, annotated.query_frames),
        (Mark.CORRECTED, annotated.corrected),
        (Mark.LOCKED, annotated.locked),
        (Mark.LEVEL, annotated.levels.keys()),
    ):
        facts.marks[sorted(frames)] |= int(mark)
    if len(annotated.hypotheses) < 2:
        facts.disagreement[:] = 0
    facts.disagreement[sorted(annotated.locked)] = 0


#: How grave a level is, for columns of several frames: the gravest is shown.
GRAVITY = {
    UNKNOWN: 0,
    int(OcclusionLevel.NONE): 1,
    int(OcclusionLevel.NO_OCCLUSION): 2,
    int(OcclusionLevel.SLIGHT_OCCLUSION): 3,
    int(OcclusionLevel.SEVERE_OCCLUSION): 4,
}
