"""What the tools for hidden parts do to the annotation: one undoable step each, no buttons here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.utils.notifications import notification_manager, show_error, show_info
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.hypotheses import disagreement, picked
from napari_amodal.annotation.motion_tools import ObjectMotion, copied, interpolated, object_motion
from napari_amodal.annotation.object_annotation import (
    CONSENSUS,
    ObjectAnnotation,
    corrected,
)
from napari_amodal.annotation.shape_tools import (
    centre_of,
    similarity_about,
    smoothed,
    transformed,
    with_holes_filled,
    without_specks,
)
from napari_amodal.errors import Cancelled, InputError
from napari_amodal.masks import Mask
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.painting import frames_told

#: Radius of smoothing as a share of the square root of the mask's area, and its least, in pixels;
#: specks are smaller than this share of the mask.
_SMOOTHING, _LEAST_SMOOTHING, _SPECK = 0.03, 1.0, 0.02
_TICK_MS = 40

Masks = dict[int, Mask]


class MaskTools(QObject):
    """Works on the current object: its amodal masks, its hypotheses.

    Signals
    -------
    changed
        A job of a tool has begun or ended.
    progressed : float
        The share of the job that is done.
    """

    changed = Signal()
    progressed = Signal(float)

    def __init__(self, model: CompletionModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model, self._annotation = model, model.annotation
        self._job: BackgroundJob[Masks] | None = None
        self._after: tuple[str, int, ObjectAnnotation] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)

    # -- hypotheses -------------------------------------------------------------------------------

    def pick(self, choice: int, frames: range) -> None:
        """Take a hypothesis, or `CONSENSUS`, on frames that are not locked."""
        current, annotated = self._annotation.current, self._annotation.current_object
        if current is None or annotated is None or not annotated.hypotheses or self.is_busy:
            return
        name = "the consensus" if choice == CONSENSUS else f"hypothesis {choice + 1}"
        self._annotation.change(
            f"Take {name}, {frames_told(list(frames))}",
            current,
            lambda now: picked(now, choice, frames),
            frozenset(frames),
        )

    def step(self, by: int, frames: range) -> None:
        """Take the next hypothesis (or the one before) of those the shown frame could have."""
        annotated = self._annotation.current_object
        if annotated is not None and annotated.hypotheses:
            choices = [*range(len(annotated.hypotheses)), CONSENSUS]
            now = choices.index(annotated.picks[self._model.frame])
            self.pick(choices[(now + by) % len(choices)], frames)

    def divided(self) -> NDArray[np.float32] | None:
        """Where the hypotheses disagree on the shown frame, float32 ``(H, W)``; None without."""
        annotated = self._annotation.current_object
        if annotated is None or len(annotated.hypotheses) < 2:
            return None
        return disagreement(annotated, self._model.frame)

    # -- one mask ---------------------------------------------------------------------------------

    def fill_holes(self) -> None:
        self._reshape("Fill holes", with_holes_filled)

    def smooth(self) -> None:
        self._reshape("Smooth", _smoothed)

    def drop_specks(self) -> None:
        self._reshape("Drop specks", _without_specks)

    def transform(
        self, shift: tuple[float, float] = (0, 0), scale: float = 1.0, degrees: float = 0.0
    ) -> None:
        """Move (``y, x`` in pixels), scale and turn the mask about its centre."""

        def moved(mask: Mask) -> Mask:
            how = similarity_about(centre_of(mask), shift, scale, degrees)
            return transformed(mask, how)

        told = [
            *(["Move"] if any(shift) else []),
            *(["Scale"] if scale != 1 else []),
            *(["Turn"] if degrees else []),
        ]
        self._reshape(" and ".join(told) or "Move", moved)

    def _reshape(self, what: str, how: Callable[[Mask], Mask]) -> None:
        current, frame = self._annotation.current, self._model.frame
        if current is None or self.is_busy:
            return
        self._model.hear_now()

        def changed(now: ObjectAnnotation) -> ObjectAnnotation:
            mask = now.amodal[frame]
            if not mask.any():
                return now
            after = how(mask)
            return now if np.array_equal(after, mask) else self._with_amodal(now, {frame: after})

        self._annotation.change(f"{what}, frame {frame}", current, changed, frozenset({frame}))

    def nothing_hidden(self, frames: range) -> None:
        """Say that what is visible is all of the object; several locked frames are left alone."""
        current = self._annotation.current
        if current is None or self.is_busy:
            return
        self._model.hear_now()

        def changed(now: ObjectAnnotation) -> ObjectAnnotation:
            free = [frame for frame in frames if len(frames) == 1 or frame not in now.locked]
            return corrected(now, {}, {frame: now.visible[frame] for frame in free})

        told = frames_told(list(frames))
        self._annotation.change(f"Nothing hidden, {told}", current, changed, frozenset(frames))

    def _with_amodal(self, now: ObjectAnnotation, masks: Masks) -> ObjectAnnotation:
        """The object with amodal masks by hand, the visible part in them where that is wanted."""
        if self._annotation.state.amodal_contains_visible:
            masks = {frame: mask | now.visible[frame] for frame, mask in masks.items()}
        contained = self._annotation.state.amodal_contains_visible
        return corrected(now, {}, masks, contain_visible=contained)

    # -- along the motion -------------------------------------------------------------------------

    def interpolate(self) -> None:
        """Fill the frames between the locked ones beside the shown frame, along the motion."""
        current, annotated = self._annotation.current, self._annotation.current_object
        if current is None or annotated is None:
            return
        self._model.hear_now()
        annotated = self._annotation.objects[current]
        ends = _locks_beside(annotated, self._model.frame)
        if ends is None:
            show_info("Lock a frame before and one after this one first: the tool fills between")
            return
        first, last = ends
        masks = {frame: annotated.amodal[frame] for frame in ends}

        def work(job: BackgroundJob[Masks]) -> Masks:
            motion = self._motion(annotated, range(first, last + 1), job)
            return interpolated(masks, motion, first, last)

        self._start(f"Interpolate frames {first + 1} to {last - 1}", current, annotated, work)

    def copy_to(self, frames: range) -> None:
        """Copy the shown frame's amodal mask to others that are not locked, with the motion."""
        current = self._annotation.current
        if current is None:
            return
        self._model.hear_now()
        annotated, start = self._annotation.objects[current], self._model.frame
        wanted = [at for at in frames if at != start and at not in annotated.locked]
        if not wanted or not annotated.amodal[start].any():
            show_info("There is no other frame to copy to, or no amodal mask on this one")
            return
        span = range(min(start, wanted[0]), max(start, wanted[-1]) + 1)

        def work(job: BackgroundJob[Masks]) -> Masks:
            motion = self._motion(annotated, span, job)
            moved = copied(annotated.amodal[start], motion, start, span)
            return {frame: mask for frame, mask in moved.items() if frame in set(wanted)}

        self._start(f"Copy frame {start} to {frames_told(wanted)}", current, annotated, work)

    def _motion(
        self, annotated: ObjectAnnotation, span: range, job: BackgroundJob[Masks]
    ) -> ObjectMotion:
        assert self._annotation.clip is not None
        return object_motion(
            self._annotation.clip,
            annotated.visible,
            span,
            on_progress=job.report,
            is_cancelled=job.is_cancelled,
        )

    @property
    def is_busy(self) -> bool:
        return self._job is not None

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _start(
        self,
        label: str,
        object_id: int,
        before: ObjectAnnotation,
        work: Callable[[BackgroundJob[Masks]], Masks],
    ) -> None:
        if self.is_busy:
            return
        self._job, self._after = BackgroundJob(work), (label, object_id, before)
        self.destroyed.connect(self._job.cancel)
        self._job.start()
        self._timer.start()
        self.changed.emit()

    def _tick(self) -> None:
        job = self._job
        if job is None:
            self._timer.stop()
            return
        if job.progress is not None:
            self.progressed.emit(job.progress.fraction)
        if job.is_alive:
            return
        assert self._after is not None
        (label, object_id, before), self._job, self._after = self._after, None, None
        self._timer.stop()
        if job.result is not None:
            self._finish(label, object_id, before, job.result)
        elif isinstance(job.error, InputError):
            show_error(str(job.error))
        elif job.error is not None and not isinstance(job.error, Cancelled):
            error = job.error
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self.changed.emit()

    def _finish(self, label: str, object_id: int, before: ObjectAnnotation, masks: Masks) -> None:
        if object_id not in self._annotation.objects:
            return

        def changed(now: ObjectAnnotation) -> ObjectAnnotation:
            free = {
                frame: mask
                for frame, mask in masks.items()
                if frame not in now.locked and now.amodal.same_frame(before.amodal, frame)
            }
            return self._with_amodal(now, free) if free else now

        self._annotation.change(label, object_id, changed, frozenset(masks))


def _locks_beside(annotated: ObjectAnnotation, frame: int) -> tuple[int, int] | None:
    """The nearest locked frames with an amodal mask on both sides of one that is between them."""
    good = [at for at in annotated.locked if annotated.amodal.boxes[at] is not None]
    before = max((at for at in good if at < frame), default=None)
    after = min((at for at in good if at > frame), default=None)
    if before is None or after is None or frame in annotated.locked:
        return None
    return before, after


def _smoothed(mask: Mask) -> Mask:
    return smoothed(
        mask, max(_LEAST_SMOOTHING, _SMOOTHING * float(np.sqrt(np.count_nonzero(mask))))
    )


def _without_specks(mask: Mask) -> Mask:
    return without_specks(mask, max(2, int(_SPECK * np.count_nonzero(mask))))
