"""A run: its order, its settings, progress, cancelling, and stages from other packages."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from napari_amodal import registry
from napari_amodal.boxes import Box
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.engine import Completion, run
from napari_amodal.errors import CallError, Cancelled, InputError
from napari_amodal.export import annotation_of
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Progress, Watch
from napari_amodal.registry import Engine, StageKind, find_engine
from napari_amodal.stages import Clicks, Query, VisibleTrack
from still_engine import SameCompleter, StillTracker


class LackingTracker(StillTracker):
    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ("torch is not installed: pip install 'napari-amodal[gpu]'",)


STILL = Engine("still", "for tests", "still", "open", "same", {"still": {"seed": 7}})


@pytest.fixture(autouse=True)
def other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package beside ours that offers stages and an engine by entry points."""
    offered = {
        StageKind.TRACKER: {
            "still": "still_engine:StillTracker",
            "lacking": f"{__name__}:LackingTracker",
            "clicked": f"{__name__}:ClickedTracker",
            "broken": "still_engine:NotThere",
        },
        StageKind.REASONER: {"open": "still_engine:OpenReasoner"},
        StageKind.COMPLETER: {"same": "still_engine:SameCompleter"},
        registry.ENGINES_GROUP: {"still": f"{__name__}:STILL", "broken": "still_engine:NOT_THERE"},
    }
    points = {
        str(group): {name: EntryPoint(name, value, str(group)) for name, value in names.items()}
        for group, names in offered.items()
    }
    monkeypatch.setattr(registry, "_entry_points", lambda group: points[str(group)])


@pytest.fixture
def clip() -> Clip:
    return clip_from_array(np.zeros((10, 12, 16, 3), np.uint8), "small")


def query(frame: int = 0, shape: tuple[int, int] = (12, 16), *, empty: bool = False) -> Query:
    mask = np.zeros(shape, np.bool_)
    mask[3:6, 4:9] = not empty
    return Query({frame: mask})


def test_a_run_of_stages_from_another_package(clip: Clip) -> None:
    heard: list[Progress] = []
    result = run(clip, {1: query(), 2: query(4)}, find_engine("still"), on_progress=heard.append)
    assert isinstance(result, Completion)
    assert set(result.objects) == {1, 2}
    assert result.objects[2].amodal[9].sum() == 15
    assert result.settings["still"]["seed"] == 7
    assert list(dict.fromkeys(p.stage for p in heard)) == [
        "Standing still",
        "Looking",
        "Completing",
        "done",
    ]
    fractions = [p.fraction for p in heard if p.mask is None or p.mask.object_id == 1]
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)
    assert heard[-1].seconds_left == 0.0
    shown = [p.mask for p in heard if p.mask is not None]
    assert [(m.object_id, m.frame) for m in shown] == [(k, f) for k in (1, 2) for f in range(10)]


def test_given_visible_masks_skip_the_tracker(clip: Clip) -> None:
    given = MaskStack([np.ones((12, 16), np.bool_)] * 10, 12, 16)
    heard: list[Progress] = []
    result = run(clip, {1: query(3)}, STILL, visible={1: given}, on_progress=heard.append)
    assert not result.tracked
    assert "Standing still" not in {p.stage for p in heard}
    masks = result.objects[1].track.masks
    assert masks[0].all()
    assert masks[3].sum() == 15, "the query itself stays as it was painted"


def test_mixtures_and_settings(clip: Clip) -> None:
    engine = find_engine("still+open+same")
    result = run(clip, {1: query()}, engine, settings={"still": {"pause": 0.001}})
    assert result.settings["still"]["pause"] == 0.001
    assert result.settings["still"]["seed"] == 42


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no engine named 'nothing'; there are: broken, still"),
        ("broken", "the engine 'broken' .* cannot be loaded"),
        ("still+open+nothing", "no completer named 'nothing'; there are: same"),
        ("broken+open+same", "cannot be loaded"),
    ],
)
def test_unknown_engines_are_named(name: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        find_engine(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"still": {"speed": 1}}, "no setting 'speed'; it has: fails, pause, seed, stall_at"),
        ({"shape": {"pause": 1}}, "no stage 'shape'"),
        ({"still": {"pause": -0.1}}, r"still\.pause is -0\.1; the least is 0\.0"),
        ({"still": {"pause": 9}}, r"still\.pause is 9; the most is 5\.0"),
    ],
)
def test_unknown_settings_are_named(clip: Clip, settings: Any, message: str) -> None:
    with pytest.raises(CallError, match=message):
        run(clip, {1: query()}, STILL, settings=settings)


def test_what_a_stage_lacks_is_said_before_any_work(clip: Clip) -> None:
    with pytest.raises(CallError, match="pip install"):
        run(clip, {1: query()}, Engine("e", "", "lacking", "open", "same"))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({}, InputError, "no query"),
        ({1: query(empty=True)}, InputError, "query of object 1 is empty"),
        ({1: query(10)}, CallError, "on frame 10, the clip has frames 0 to 9"),
        ({3: query(shape=(12, 17))}, InputError, "object 3 on frame 0 is 17x12, .* 16x12"),
    ],
)
def test_bad_queries(clip: Clip, bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(clip, bad, STILL)


class ClickedTracker(StillTracker):
    """Takes a box for the object."""

    takes_clicks = True

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        painted = {}
        for object_id, query in queries.items():
            mask = np.zeros((clip.height, clip.width), np.bool_)
            box = query.clicks[query.frame].box
            assert box is not None
            mask[box.slices] = True
            painted[object_id] = Query({query.frame: mask})
        return super().track(clip, painted, watch)


def test_clicks_go_to_trackers_that_take_them(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Query] = []

    class Noting(SameCompleter):
        def complete(self, clip: Clip, queries: Any, *rest: Any) -> Any:
            handed.extend(queries.values())
            return super().complete(clip, queries, *rest)

    monkeypatch.setattr("still_engine.SameCompleter", Noting)
    clicked = Query({}, clicks={4: Clicks(box=Box(2, 3, 5, 8))})
    engine = Engine("e", "", "clicked", "open", "same")
    found = run(clip, {1: clicked}, engine).objects[1]
    assert found.amodal[9].sum() == 15
    assert handed[0].visible[4].sum() == 15, "later stages are given the mask that was found"
    assert annotation_of(run(clip, {1: clicked}, engine), 1).visible_origin[4] == "tracked"
    with pytest.raises(InputError, match="only clicked, and the tracker 'still' needs its mask"):
        run(clip, {1: clicked}, STILL)
    with pytest.raises(CallError, match="on frame 10"):
        run(clip, {1: Query({}, clicks={10: Clicks(inside=((1, 1),))})}, engine)


def test_a_run_stops_within_a_second(clip: Clip) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run(
            clip,
            {1: query()},
            STILL,
            settings={"still": {"pause": 0.3}},
            is_cancelled=stop.is_set,
        )
    assert time.monotonic() - started < 1.2


def test_time_left_is_told_once_it_can_be(clip: Clip) -> None:
    heard: list[Progress] = []
    run(
        clip,
        {1: query()},
        STILL,
        settings={"still": {"pause": 0.02}},
        on_progress=heard.append,
    )
    assert heard[0].seconds_left is None
    tracking = [p for p in heard if p.stage == "Standing still" and p.seconds_left is not None]
    assert tracking[2].seconds_left > tracking[-1].seconds_left > 0
