"""One run of an engine over a clip, with progress and cancelling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.errors import CallError, InputError
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Progress, Watch
from napari_amodal.readiness import Lack, weights_lacking
from napari_amodal.registry import Engine, StageKind, stage_type
from napari_amodal.stages import (
    Completer,
    Hypothesis,
    NeedsDevice,
    Occlusion,
    OcclusionReasoner,
    Query,
    ReadsWeights,
    Tracker,
    VisibleTrack,
)

#: Settings that a run changes: stage name to setting to value.
Overrides = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ObjectCompletion:
    """All that a run found of one object."""

    query: Query
    track: VisibleTrack
    occlusion: Occlusion
    hypotheses: tuple[Hypothesis, ...]

    @property
    def amodal(self) -> MaskStack:
        """The amodal masks of the best hypothesis."""
        return self.hypotheses[0].amodal


@dataclass(frozen=True)
class Completion:
    """The result of a run.

    Attributes
    ----------
    engine : Engine
    settings : mapping
        Every setting of every stage as it was used, stage name to setting to value.
    tracked : bool
        False where the visible masks were given instead.
    objects : mapping of int to ObjectCompletion
    """

    engine: Engine
    settings: Mapping[str, Mapping[str, Any]]
    tracked: bool
    objects: Mapping[int, ObjectCompletion]


def run(
    clip: Clip,
    queries: Mapping[int, Query],
    engine: Engine,
    *,
    settings: Overrides | None = None,
    visible: Mapping[int, MaskStack] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Completion:
    """Complete the queried objects of a clip.

    Parameters
    ----------
    clip : Clip
    queries : mapping of int to Query
        Object id to what the annotator gave of it.
    engine : Engine
    settings : mapping, optional
        Settings that differ from the engine's: stage name to setting to value.
    visible : mapping of int to MaskStack, optional
        True visible masks by object id; the tracker is skipped.
    on_progress : callable, optional
        Called with each `Progress` in the calling thread.
    is_cancelled : callable, optional
        Asked several times a second; the run stops once it says True.

    Raises
    ------
    InputError
        A query is empty, of another size or on a frame that the clip does not have.
    CallError
        A setting or stage is unknown, or a stage still lacks something on this machine.
    Cancelled
        `is_cancelled` said so.
    """
    _check_length(clip)
    check_queries(clip, queries)
    kinds = tuple(StageKind) if visible is None else _AFTER_TRACKING
    stages = _made(clip, engine, kinds, settings or {})
    watch = Watch(on_progress, is_cancelled)
    stages.check_devices(watch)
    if visible is None:
        tracks = stages.track(clip, queries, watch)
    else:
        tracks = _given_tracks(clip, queries, visible)
    objects = stages.complete(clip, queries, tracks, watch)
    watch.enter("done", 1.0, 0.0)
    return Completion(engine, stages.recorded, visible is None, objects)


def track(
    clip: Clip,
    queries: Mapping[int, Query],
    engine: Engine,
    *,
    settings: Overrides | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Mapping[int, VisibleTrack]:
    """Find the visible masks only, as the first stage of `run` does; the parameters are its."""
    _check_length(clip)
    check_queries(clip, queries)
    stages = _made(clip, engine, (StageKind.TRACKER,), settings or {})
    return stages.track(clip, queries, Watch(on_progress, is_cancelled))


def complete(
    clip: Clip,
    queries: Mapping[int, Query],
    tracks: Mapping[int, VisibleTrack],
    engine: Engine,
    *,
    settings: Overrides | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Mapping[int, ObjectCompletion]:
    """Complete objects whose visible masks are there, as the last stages of `run` do.

    The parameters are those of `run`, and what the tracker found, by object id.
    """
    _check_length(clip)
    check_queries(clip, queries)
    stages = _made(clip, engine, _AFTER_TRACKING, settings or {})
    return stages.complete(clip, queries, tracks, Watch(on_progress, is_cancelled))


_AFTER_TRACKING = (StageKind.REASONER, StageKind.COMPLETER)


@dataclass(frozen=True)
class _Stages:
    """The stages of a run, made and ready."""

    engine: Engine
    settings: Mapping[StageKind, Any]
    made: Mapping[StageKind, Any]

    @property
    def recorded(self) -> dict[str, dict[str, Any]]:
        """Every setting as it is used, by stage name."""
        return _recorded(self.engine, self.settings)

    def check_devices(self, watch: Watch) -> None:
        for stage in self.made.values():
            if isinstance(stage, NeedsDevice):
                stage.check_device(watch)

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        tracker: Tracker = self._enter(StageKind.TRACKER, watch)
        _check_clicks_are_taken(self.engine.tracker, tracker, queries)
        return tracker.track(clip, queries, watch)

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> dict[int, ObjectCompletion]:
        masked = {
            object_id: _masked(query, tracks[object_id]) for object_id, query in queries.items()
        }
        reasoner: OcclusionReasoner = self._enter(StageKind.REASONER, watch)
        occlusions = reasoner.reason(clip, masked, tracks, watch)
        completer: Completer = self._enter(StageKind.COMPLETER, watch)
        hypotheses = completer.complete(clip, masked, tracks, occlusions, watch)
        return {
            object_id: ObjectCompletion(
                query, tracks[object_id], occlusions[object_id], hypotheses[object_id]
            )
            for object_id, query in queries.items()
        }

    def _enter(self, kind: StageKind, watch: Watch) -> Any:
        stage = self.made[kind]
        watch.enter(stage.title, *_shares(self.made)[kind])
        return stage


def _made(
    clip: Clip, engine: Engine, kinds: tuple[StageKind, ...], overrides: Overrides
) -> _Stages:
    used = _settings_of(engine, overrides, kinds)
    _check_ready(engine, used, overrides, clip)
    made = {kind: stage_type(kind, engine.stages[kind])(used[kind]) for kind in used}
    return _Stages(engine, used, made)


def _check_length(clip: Clip) -> None:
    if len(clip) < 2:
        raise InputError(
            f"the clip {clip.name!r} has one frame only: a hidden part is completed from the "
            "frames before and after; give a clip of two frames or more"
        )


def recorded_settings(
    engine: Engine, settings: Overrides, *, tracked: bool
) -> dict[str, dict[str, Any]]:
    """Every setting of every stage as a run with these would record it (`Completion.settings`)."""
    used = _settings_of(engine, settings, tuple(StageKind) if tracked else _AFTER_TRACKING)
    return _recorded(engine, used)


def _recorded(engine: Engine, used: Mapping[StageKind, Any]) -> dict[str, dict[str, Any]]:
    return {engine.stages[kind]: asdict(values) for kind, values in used.items()}


def check_queries(clip: Clip, queries: Mapping[int, Query]) -> None:
    """Raise `InputError` for a query that cannot be used on this clip."""
    if not queries:
        raise InputError("there is no query: paint the object's mask on one frame")
    for object_id, query in queries.items():
        for frame, mask in (*query.visible.items(), *query.amodal.items()):
            _check_frame(clip, object_id, frame)
            _check_size(clip, object_id, frame, mask)
        for frame in query.clicks:
            _check_frame(clip, object_id, frame)
        if not query.clicks and not any(mask.any() for mask in query.visible.values()):
            raise InputError(
                f"the query of object {object_id} is empty: paint the object's mask on one frame"
            )


def _check_clicks_are_taken(name: str, tracker: Any, queries: Mapping[int, Query]) -> None:
    for object_id, query in queries.items():
        painted = any(mask.any() for mask in query.visible.values())
        if not painted and not getattr(tracker, "takes_clicks", False):
            raise InputError(
                f"object {object_id} was only clicked, and the tracker {name!r} needs its mask: "
                "paint it on one frame, or take another tracker"
            )


def _masked(query: Query, track: VisibleTrack) -> Query:
    """A query for the stages after the tracker: what was clicked has the mask found there."""
    found = {frame: track.masks[frame] for frame in query.clicks if frame not in query.visible}
    return replace(query, visible={**query.visible, **found})


def _check_frame(clip: Clip, object_id: int, frame: int) -> None:
    if not 0 <= frame < len(clip):
        raise CallError(
            f"the query of object {object_id} is on frame {frame}, "
            f"the clip has frames 0 to {len(clip) - 1}"
        )


def _check_size(clip: Clip, object_id: int, frame: int, mask: Mask) -> None:
    if mask.shape != (clip.height, clip.width):
        raise InputError(
            f"the query of object {object_id} on frame {frame} is "
            f"{mask.shape[1]}x{mask.shape[0]}, the frames are {clip.width}x{clip.height}: "
            "paint it on the frame itself, or resize it"
        )


def make_settings(kind: StageKind, name: str, values: Mapping[str, Any]) -> Any:
    """A stage's settings with some of them changed; `CallError` for one that it does not have."""
    settings_type = stage_type(kind, name).settings_type
    known = {field.name for field in fields(settings_type)}
    for unknown in set(values) - known:
        raise CallError(
            f"the {kind.label} {name!r} has no setting {unknown!r}; "
            f"it has: {', '.join(sorted(known)) or 'none'}"
        )
    for field in fields(settings_type):
        _check_bounds(f"{name}.{field.name}", values.get(field.name), field.metadata)
    try:
        return settings_type(**values)
    except (TypeError, ValueError) as error:
        raise CallError(f"settings of the {kind.label} {name!r}: {error}") from error


def _check_bounds(name: str, value: object, metadata: Mapping[str, Any]) -> None:
    if not isinstance(value, int | float):
        return
    low, high = metadata.get("min"), metadata.get("max")
    if low is not None and value < low:
        raise CallError(f"{name} is {value}; the least is {low}")
    if high is not None and value > high:
        raise CallError(f"{name} is {value}; the most is {high}")


def _settings_of(
    engine: Engine, overrides: Overrides, kinds: tuple[StageKind, ...]
) -> dict[StageKind, Any]:
    """The settings of each stage of some kinds."""
    for unknown in set(overrides) - set(engine.stages.values()):
        raise CallError(f"the engine {engine.name!r} has no stage {unknown!r}")
    return {
        kind: make_settings(kind, name, _values(engine, name, overrides))
        for kind, name in engine.stages.items()
        if kind in kinds
    }


def _values(engine: Engine, stage: str, overrides: Overrides) -> dict[str, Any]:
    """What a run changes of a stage's settings: the engine's choice, and over it the call's."""
    return {**engine.settings.get(stage, {}), **overrides.get(stage, {})}


def lacks(
    engine: Engine,
    settings: Overrides | None = None,
    clip: Clip | None = None,
    *,
    tracked: bool = True,
) -> tuple[Lack, ...]:
    """What an engine still lacks on this machine, each thing once.

    Parameters
    ----------
    engine : Engine
    settings : mapping, optional
        Settings that differ from the engine's.
    clip : Clip, optional
        The clip to work on; without it, weights that only some clips need are named too.
    tracked : bool
        False where the visible masks are given, and the tracker is not needed.

    Raises
    ------
    CallError
        A stage cannot be loaded, or a setting is unknown.
    """
    found: dict[Lack, None] = {}
    for kind, name in engine.stages.items():
        if kind is StageKind.TRACKER and not tracked:
            continue
        found |= dict.fromkeys(stage_lacks(kind, name, _values(engine, name, settings or {}), clip))
    return tuple(sorted(found, key=lambda lack: bool(lack.weight)))  # packages come first


def stage_lacks(
    kind: StageKind, name: str, values: Mapping[str, Any], clip: Clip | None = None
) -> tuple[Lack, ...]:
    """What a stage with some of its settings changed lacks here; see `lacks`."""
    stage = stage_type(kind, name)
    found = tuple(Lack(told) for told in stage.missing())
    if not issubclass(stage, ReadsWeights):
        return found
    return found + weights_lacking(stage(make_settings(kind, name, values)), clip)


def _check_ready(
    engine: Engine, kinds: Iterable[StageKind], settings: Overrides, clip: Clip
) -> None:
    """Say at once all that is lacking: a run may take long to get to a late stage."""
    told: dict[Lack, str] = {}
    for kind in kinds:
        name = engine.stages[kind]
        for lack in stage_lacks(kind, name, _values(engine, name, settings), clip):
            told.setdefault(lack, f"the {kind.label} {name!r} cannot run here: {lack.told}")
    if told:
        raise CallError("; ".join(told.values()))


def _shares(stages: Mapping[StageKind, Any]) -> dict[StageKind, tuple[float, float]]:
    """For each stage, what share of the run lies before it and what share it takes."""
    costs = {kind: float(stage.seconds_per_frame) for kind, stage in stages.items()}
    total = sum(costs.values())
    shares, before = {}, 0.0
    for kind, cost in costs.items():
        shares[kind] = (before / total, cost / total)
        before += cost
    return shares


def _given_tracks(
    clip: Clip, queries: Mapping[int, Query], visible: Mapping[int, MaskStack]
) -> dict[int, VisibleTrack]:
    expected = (len(clip), clip.height, clip.width)
    for object_id in queries:
        if object_id not in visible:
            raise InputError(f"object {object_id} has no visible masks: track it instead")
        if visible[object_id].shape != expected:
            raise InputError(
                f"the visible masks of object {object_id} have shape {visible[object_id].shape}, "
                f"the clip has {expected}"
            )
    certain = np.ones(len(clip), np.float32)
    return {
        object_id: VisibleTrack(visible[object_id].replaced(query.visible), certain)
        for object_id, query in queries.items()
    }
