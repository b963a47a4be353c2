"""The occlusion level of every frame, kept up to date while the window has time."""

from __future__ import annotations

import time
from collections.abc import Iterable

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.annotation.worth import LEAST_DOUBT
from napari_amodal.export import Origin
from napari_amodal.levels import FrameOcclusion, OcclusionLevel
from napari_amodal.widgets.annotation_model import AnnotationModel

#: Pause between turns (ms), and how long a turn may take (s).
PAUSE_MS = 15
BUDGET = 0.006
#: Trackers are unsure from here down.
LOW_CONFIDENCE = 1 - LEAST_DOUBT


class FrameLevels(QObject):
    """Levels by object and frame, from the masks as they are now; found a little at a time."""

    changed = Signal()

    def __init__(self, annotation: AnnotationModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._annotation = annotation
        self._levels: dict[int, list[OcclusionLevel | None]] = {}
        self._doubtful: dict[int, set[int]] = {}
        self._waiting: dict[tuple[int, int], None] = {}  # object and frame, in order, each once
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._look)
        annotation.opened.connect(self._on_opened)
        annotation.objects_changed.connect(self._on_objects_changed)
        annotation.frames_changed.connect(self.look_at)

    @property
    def levels(self) -> dict[int, list[OcclusionLevel | None]]:
        """Object id to one level a frame; None where it is not known yet."""
        return self._levels

    @property
    def doubtful(self) -> dict[int, set[int]]:
        """Object id to the frames on which the tracker is unsure and nobody has corrected it."""
        return self._doubtful

    def look_at(self, object_id: int, frames: Iterable[int]) -> None:
        """Look at frames (again), those that wait already not sooner."""
        self._waiting.update(dict.fromkeys((object_id, frame) for frame in frames))
        if self._waiting:
            self._timer.start()

    def _on_opened(self) -> None:
        self._levels, self._doubtful = {}, {}
        self._waiting.clear()
        self._on_objects_changed()
        for object_id, annotated in self._annotation.objects.items():
            self.look_at(object_id, range(len(annotated)))

    def _on_objects_changed(self) -> None:
        objects = self._annotation.objects
        self._levels = {
            object_id: self._levels.get(object_id) or [None] * len(annotated)
            for object_id, annotated in objects.items()
        }
        self._doubtful = {object_id: self._doubtful.get(object_id, set()) for object_id in objects}
        self.changed.emit()

    def _look(self) -> None:
        until = time.monotonic() + BUDGET
        while self._waiting:
            object_id, frame = next(iter(self._waiting))
            del self._waiting[object_id, frame]
            annotated = self._annotation.objects.get(object_id)
            if annotated is not None and object_id in self._levels:
                self._look_at(object_id, annotated, frame)
            if time.monotonic() > until:
                break
        if not self._waiting:
            self._timer.stop()
        self.changed.emit()

    def _look_at(self, object_id: int, annotated: ObjectAnnotation, frame: int) -> None:
        occlusion = known_occlusion(annotated, frame)
        self._levels[object_id][frame] = None if occlusion is None else occlusion.level
        if is_doubtful(annotated, frame):
            self._doubtful[object_id].add(frame)
        else:
            self._doubtful[object_id].discard(frame)


def known_occlusion(annotated: ObjectAnnotation, frame: int) -> FrameOcclusion | None:
    """Level and amount of a frame; None before both of its masks have come."""
    return annotated.occlusion(frame) if is_known(annotated, frame) else None


def is_known(annotated: ObjectAnnotation, frame: int) -> bool:
    """Whether a frame has its masks, be they empty: from a run, by hand, or given."""
    if frame in annotated.levels or frame in annotated.leaving or frame in annotated.locked:
        return True
    has_come = annotated.amodal_origin[frame] is not Origin.GIVEN
    return has_come or annotated.amodal.packed[frame].box is not None


def is_doubtful(annotated: ObjectAnnotation, frame: int) -> bool:
    """Whether the tracker was unsure of a frame that nobody has corrected."""
    return (
        annotated.visible_origin[frame] is Origin.TRACKED
        and frame not in annotated.locked
        and annotated.confidence[frame] < LOW_CONFIDENCE
        and is_known(annotated, frame)
    )
