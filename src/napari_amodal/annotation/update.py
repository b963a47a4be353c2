"""Update from corrections: track and complete again between corrected frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.gaps import (
    Gap,
    gaps_beside,
    lead_to,
    looks_for,
    queried_beside,
    runs_of,
    window_around,
)
from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.annotation.splicing import recompleted, retracked, taken
from napari_amodal.clip import Clip, part_of
from napari_amodal.engine import Overrides, complete, track
from napari_amodal.masks import Mask, MaskStack, iou
from napari_amodal.progress import Progress
from napari_amodal.registry import Engine
from napari_amodal.stages import Query, VisibleTrack

#: Tracking's share of an update, beside completing, for the progress.
_TRACKING_SHARE = 0.7
#: Two trackings of a frame differ a little by chance. A correction tells much of the frames beside
#: it and ever less of those further off: there, a new mask replaces the old one only if their IoU
#: is less than 1 - AGREEMENT_FADES a frame of distance, down to LEAST_AGREEMENT.
AGREEMENT_FADES, LEAST_AGREEMENT = 0.03, 0.8


@dataclass(frozen=True)
class Update:
    """What an update found of one object.

    Attributes
    ----------
    object_id : int
    before : ObjectAnnotation
        The object when the update began.
    after : ObjectAnnotation
        The object with the new masks.
    frames : tuple of int
        The frames that were done again.
    """

    object_id: int
    before: ObjectAnnotation
    after: ObjectAnnotation
    frames: tuple[int, ...]

    def onto(self, now: ObjectAnnotation) -> ObjectAnnotation:
        """The object as it is now with what was found: the annotator may have worked meanwhile.

        Frames that have been locked or changed by hand since the update began stay as they are.
        """
        free = [frame for frame in self.frames if self._is_untouched(now, frame)]
        return replace(taken(now, self.after, free), fresh=now.fresh - self.before.fresh)

    def _is_untouched(self, now: ObjectAnnotation, frame: int) -> bool:
        same_visible = now.visible.same_frame(self.before.visible, frame)
        same_amodal = now.amodal.same_frame(self.before.amodal, frame)
        return frame not in now.locked and same_visible and same_amodal


def update(
    clip: Clip,
    state: ClipAnnotation,
    object_id: int,
    corrected: Collection[int],
    engine: Engine,
    *,
    settings: Overrides | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Update:
    """Track and complete an object again around newly corrected frames.

    Tracking begins at the corrected frames and goes away from them, so that the first changed
    masks are the nearest. Locked frames are truth and never change, and so is all beyond them.

    Parameters
    ----------
    clip : Clip
    state : ClipAnnotation
    object_id : int
    corrected : collection of int
        The locked frames that were corrected since the last run.
    engine : Engine
    settings : mapping, optional
        As in `napari_amodal.engine.run`.
    on_progress : callable, optional
        Called with each `Progress`; its masks are those of frames that change, numbered as in the
        clip.
    is_cancelled : callable, optional
        As in `napari_amodal.engine.run`.

    Raises
    ------
    InputError
        The object has no mask on any locked or query frame.
    Cancelled
        `is_cancelled` said so.
    """
    before = state.objects[object_id]
    gaps = gaps_beside(before, corrected)
    tracked = {frame for gap in gaps for frame in gap.frames}
    frames = tuple(sorted(tracked | queried_beside(before, corrected)))
    if not frames:
        return Update(object_id, before, before, ())
    new = frozenset(corrected) & before.locked
    runner = _Runner(clip, object_id, engine, settings or {}, on_progress, is_cancelled, new)
    after = before
    step, done = _TRACKING_SHARE / max(1, sum(gap.steps for gap in gaps)), 0
    for gap in gaps:
        after = runner.track_gap(after, gap, step * done, step)
        done += gap.steps
    for number, run in enumerate(runs := runs_of(frames)):
        share = (1 - _TRACKING_SHARE) / len(runs)
        after = runner.complete(after, run, _TRACKING_SHARE + share * number, share)
    return Update(object_id, before, after, frames)


@dataclass(frozen=True)
class _Runner:
    """Runs an engine's stages on parts of the clip."""

    clip: Clip
    object_id: int
    engine: Engine
    settings: Overrides
    on_progress: Callable[[Progress], None] | None
    is_cancelled: Callable[[], bool] | None
    new: frozenset[int]

    def track_gap(
        self, annotated: ObjectAnnotation, gap: Gap, before: float, step: float
    ) -> ObjectAnnotation:
        """Track the frames of a gap from its true ends; the more confident masks count.

        A mask that says of a frame what the one before said leaves that one in place.
        """
        before_gap = annotated
        trusted: dict[int, float] = {}
        for start, frames in gap.ways:
            part, found = self._track(annotated, start, frames, before, step * len(frames))
            places = {
                frame: place
                for place, frame in enumerate(part)
                if frame in frames and found.confidence[place] > trusted.get(frame, -1.0)
            }
            trusted |= {frame: float(found.confidence[at]) for frame, at in places.items()}
            kept = [f for f, at in places.items() if self._agrees(before_gap, f, found.masks[at])]
            annotated = taken(retracked(annotated, found, places), before_gap, kept)
            before += step * len(frames)
        return annotated

    def _agrees(self, before: ObjectAnnotation, frame: int, found: Mask) -> bool:
        """Whether a new mask is so near the old one that the correction says nothing of it."""
        distance = min(abs(frame - corrected) for corrected in self.new)
        least = max(LEAST_AGREEMENT, 1 - AGREEMENT_FADES * distance)
        return (
            before.visible.boxes[frame] is not None and iou(before.visible[frame], found) >= least
        )

    def _track(
        self, annotated: ObjectAnnotation, start: int, frames: range, before: float, share: float
    ) -> tuple[list[int], VisibleTrack]:
        """Track frames away from a true one: the part of the clip that was tracked, the masks."""
        lead = lead_to(annotated, start, frames)
        part = [*looks_for(annotated, start, lead), *lead, start, *frames]
        query = annotated.painted
        begin = {frame: annotated.visible[frame] for frame in lead[:1]}
        query = replace(query, visible={**begin, **query.visible})
        found = track(
            part_of(self.clip, part),
            {self.object_id: _on_part(query, part)},
            self.engine,
            settings=self.settings,
            on_progress=self._watched(part, frozenset(frames), before, share),
            is_cancelled=self.is_cancelled,
        )
        return part, found[self.object_id]

    def complete(
        self, annotated: ObjectAnnotation, frames: Sequence[int], before: float, share: float
    ) -> ObjectAnnotation:
        """Complete frames anew, and leave the others as they are."""
        window = window_around(annotated, frames)
        query = _on_part(annotated.painted, window)
        confidence = np.array([annotated.confidence[frame] for frame in window], np.float32)
        confidence[[n for n, frame in enumerate(window) if frame in annotated.anchors]] = 1.0
        packed = [annotated.visible.packed[frame] for frame in window]
        masks = MaskStack.from_packed(packed, self.clip.height, self.clip.width)
        masks = masks.replaced(query.visible)
        found = complete(
            part_of(self.clip, window),
            {self.object_id: query},
            {self.object_id: VisibleTrack(masks, confidence)},
            self.engine,
            settings=self.settings,
            on_progress=self._watched(window, frozenset(frames), before, share),
            is_cancelled=self.is_cancelled,
        )[self.object_id]
        return recompleted(annotated, found, {f: window.index(f) for f in frames})

    def _watched(
        self, part: Sequence[int], changing: frozenset[int], before: float, share: float
    ) -> Callable[[Progress], None] | None:
        """Reports of a part of the update as reports of the whole."""
        if self.on_progress is None:
            return None
        report = self.on_progress

        def told(progress: Progress) -> None:
            mask = progress.mask
            if mask is not None:
                frame = part[mask.frame]
                mask = replace(mask, frame=frame) if frame in changing else None
            fraction = before + share * progress.fraction
            report(replace(progress, fraction=fraction, seconds_left=None, mask=mask))

        return told


def _on_part(query: Query, part: Sequence[int]) -> Query:
    """A query of the clip as one of a part of it."""
    index = {frame: n for n, frame in enumerate(part)}
    return Query(
        {index[f]: mask for f, mask in query.visible.items() if f in index},
        {index[f]: mask for f, mask in query.amodal.items() if f in index},
        {index[f]: clicks for f, clicks in query.clicks.items() if f in index},
    )
