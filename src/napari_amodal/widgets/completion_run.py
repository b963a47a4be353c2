"""Jobs that find masks: a run over the whole clip, an update between corrections."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from napari.layers import Labels

from napari_amodal.annotation.clip_annotation import ClipAnnotation, new_object, with_object
from napari_amodal.annotation.object_annotation import (
    ObjectAnnotation,
    completed,
    corrected,
    with_locks,
    with_query,
)
from napari_amodal.annotation.provisional import Provisional
from napari_amodal.annotation.update import Update, update
from napari_amodal.clip import Clip
from napari_amodal.engine import Completion, Overrides, run
from napari_amodal.errors import InputError
from napari_amodal.masks import Mask
from napari_amodal.progress import Progress
from napari_amodal.registry import Engine
from napari_amodal.stages import Query
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.mask_layers import MaskLayers, Painted
from napari_amodal.widgets.query_layer import frame_list, read_queries


@dataclass(frozen=True)
class RunRequest:
    """What the annotator chose for a run.

    Attributes
    ----------
    engine : Engine
    settings : mapping
        Settings that differ from the engine's.
    every_frame : bool
        Go by every frame that an object is painted on; otherwise more than one is refused.
    keep_edits : bool
        Keep locked frames, and go by them; otherwise the run replaces them, too.
    only : int or None
        The object to complete; None: all.
    """

    engine: Engine
    settings: Overrides
    every_frame: bool = False
    keep_edits: bool = True
    only: int | None = None


class CompletionRun:
    """A run over the whole clip in a worker thread."""

    label = "Run"

    def __init__(
        self,
        clip: Clip,
        state: ClipAnnotation,
        layers: MaskLayers,
        query: Labels | None,
        request: RunRequest,
    ) -> None:
        self.clip = clip
        self.started = time.monotonic()
        self.found = Provisional(state)
        #: What was painted without a word from napari; the window takes it up.
        self.heard: Painted = {}
        self._begin = state
        self._layers = layers
        self._request = request
        self._labels = None if query is None else query.data
        self._query_name = "" if query is None else query.name
        self._painted: Mapping[int, Query] = {}
        self.job: BackgroundJob[Completion] = BackgroundJob(self._work)
        self.label = f"Run {request.engine.name}"

    # -- in the worker thread ---------------------------------------------------------------------

    def _work(self, job: BackgroundJob[Completion]) -> Completion:
        job.report(Progress("Reading what is painted", 0, 1, 0.0, None))
        self._painted = self._read_queries(job)
        self.heard = self._layers.painted(job.check)
        state = with_painted(self._begin, self.heard)
        return run(
            self.clip,
            self._queries(state),
            self._request.engine,
            settings=self._request.settings,
            on_progress=job.report,
            is_cancelled=job.is_cancelled,
        )

    def _read_queries(self, job: BackgroundJob[Completion]) -> Mapping[int, Query]:
        if self._labels is None:  # it was removed; the annotation remembers
            return {
                object_id: Query({frame: known.query[frame] for frame in known.query_frames})
                for object_id, known in self._begin.objects.items()
            }
        every = self._request.every_frame
        clicked = {i: known.clicks.keys() for i, known in self._begin.objects.items()}
        try:
            return read_queries(
                self._labels, self._query_name, every_frame=every, check=job.check,
                only=self._request.only, clicked=clicked,
            )  # fmt: skip
        except InputError:
            known = [found for found in self._begin.objects.values() if found.anchors]
            if any(self._labels.any(axis=(1, 2))) or not known:
                raise
            return {}

    def _queries(self, state: ClipAnnotation) -> dict[int, Query]:
        """What is known of each object: painted queries and, if they are kept, locked masks."""
        queries = {}
        for object_id in sorted(state.objects.keys() | self._painted.keys()):
            if self._request.only not in (None, object_id):
                continue
            painted = self._painted.get(object_id, Query({}))
            known = state.objects.get(object_id)
            if known is not None and self._request.keep_edits:
                painted = _going_by(painted, known)
            elif known is not None:
                painted = replace(painted, clicks=known.clicks)
            if painted.clicks or any(mask.any() for mask in painted.visible.values()):
                queries[object_id] = painted
        return queries

    # -- in the window's thread -------------------------------------------------------------------

    def outcome(self, state: ClipAnnotation) -> ClipAnnotation:
        """A state after the run; objects that were deleted meanwhile stay so."""
        completion = self.job.result
        assert completion is not None
        for object_id, found in completion.objects.items():
            now = state.objects.get(object_id)
            if now is None and object_id in self._begin.objects:
                continue
            now = now or new_object(object_id, state.shape)
            for frame, mask in self._painted.get(object_id, Query({})).visible.items():
                now = with_query(now, frame, mask)
            if not self._request.keep_edits and object_id in self._begin.objects:
                now = with_locks(now, self._begin.objects[object_id].locked, locked=False)
            state = with_object(state, object_id, completed(now, found, tracked=completion.tracked))
        return replace(
            state,
            engine=self._request.engine.name,
            settings=self._request.settings,
        )

    @property
    def summary(self) -> str:
        """The finished run in a line or two, for people."""
        assert self.job.result is not None
        ids = self.job.result.objects
        text = f"Done: {len(ids)} object{'s' * (len(ids) > 1)}, {len(self.clip)} frames"
        text += f" in {time.monotonic() - self.started:.0f} s."
        kept = with_painted(self._begin, self.heard).objects
        frames = sorted(frozenset().union(*(kept[i].locked for i in ids if i in kept)))
        if frames:
            what = "Kept" if self._request.keep_edits else "Replaced"
            text += f" {what} your frame{'s' * (len(frames) > 1)} {frame_list(frames)}."
        return text


class UpdateRun:
    """An update of objects from their fresh corrections in a worker thread."""

    label = "Update from corrections"

    def __init__(
        self, clip: Clip, state: ClipAnnotation, engine: Engine, settings: Overrides
    ) -> None:
        self.clip = clip
        self.started = time.monotonic()
        self.found = Provisional(state)
        self.heard: Painted = {}
        self._begin = state
        self._engine = engine
        self._settings = settings
        self.job: BackgroundJob[tuple[Update, ...]] = BackgroundJob(self._work)

    def _work(self, job: BackgroundJob[tuple[Update, ...]]) -> tuple[Update, ...]:
        ids = [i for i, found in self._begin.objects.items() if found.fresh]
        return tuple(
            update(
                self.clip,
                self._begin,
                object_id,
                self._begin.objects[object_id].fresh,
                self._engine,
                settings=self._settings,
                on_progress=_share_of(job.report, number, len(ids)),
                is_cancelled=job.is_cancelled,
            )
            for number, object_id in enumerate(ids)
        )

    def outcome(self, state: ClipAnnotation) -> ClipAnnotation:
        """A state after the update; what was changed by hand meanwhile stays."""
        for found in self.job.result or ():
            now = state.objects.get(found.object_id)
            if now is not None:
                state = with_object(state, found.object_id, found.onto(now))
        return state

    @property
    def summary(self) -> str:
        count = sum(len(found.frames) for found in self.job.result or ())
        seconds = time.monotonic() - self.started
        return f"Done: {count} frame{'s' * (count != 1)} updated in {seconds:.0f} s."


Job = CompletionRun | UpdateRun


def _share_of(report: Callable[[Progress], None], number: int, count: int) -> Callable[..., None]:
    """Reports of one object's update as part of all."""

    def told(progress: Progress) -> None:
        report(replace(progress, fraction=(number + progress.fraction) / count))

    return told


def with_painted(state: ClipAnnotation, heard: Painted) -> ClipAnnotation:
    """A state with what was painted and not told yet."""
    for object_id, by_role in heard.items():
        for role, masks in by_role.items():
            annotated = state.objects.get(object_id)
            if annotated is None:
                continue
            pair: tuple[Mapping[int, Mask], Mapping[int, Mask]] = (
                (masks, {}) if role is LayerRole.VISIBLE else ({}, masks)
            )
            annotated = corrected(annotated, *pair, contain_visible=state.amodal_contains_visible)
            state = with_object(state, object_id, annotated)
    return state


def _going_by(painted: Query, known: ObjectAnnotation) -> Query:
    """A query that also holds what is locked; a lock goes before a query."""
    locked = sorted(known.locked)
    return Query(
        {**painted.visible, **{frame: known.visible[frame] for frame in locked}},
        {frame: known.amodal[frame] for frame in locked},
        {frame: clicks for frame, clicks in known.clicks.items() if frame not in known.locked},
    )
