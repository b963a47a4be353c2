"""The aligned and the learned stages, on scenes whose hidden parts are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hidden_scenes import (
    COUNT,
    HEIGHT,
    WIDTH,
    Found,
    HiddenScene,
    bar,
    behind_pillar,
    behind_wall,
    crossed,
    ellipse,
    passing_object,
    scene,
    walk,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_amodal.draft.drawn_stages import (
    AlignedCompleter,
    AlignedReasoner,
    DrawnSettings,
    LearnedCompleter,
    LearnedReasoner,
)
from napari_amodal.draft.occlusion import OutlineReasoner, OutlineSettings
from napari_amodal.errors import Cancelled
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack, iou
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Query, VisibleTrack


@dataclass(frozen=True)
class Stages:
    """A reasoner and the completer that goes with it."""

    reasoner: AlignedReasoner | LearnedReasoner
    completer: AlignedCompleter | LearnedCompleter

    def complete(self, made: HiddenScene, query: Query, track: VisibleTrack | None = None) -> Found:
        queries, tracks = {7: query}, {7: track or made.track()}
        occlusions = self.reasoner.reason(made.clip, queries, tracks, Watch())
        hypotheses = self.completer.complete(made.clip, queries, tracks, occlusions, Watch())
        return Found(occlusions[7], hypotheses[7])


@pytest.fixture(params=["aligned", "learned"], scope="module")
def stages(request: pytest.FixtureRequest) -> Stages:
    if request.param == "aligned":
        return Stages(AlignedReasoner(DrawnSettings()), AlignedCompleter(DrawnSettings()))
    return Stages(LearnedReasoner(DrawnSettings()), LearnedCompleter(DrawnSettings()))


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_hidden_parts_are_completed(stages: Stages, make: Callable[[], HiddenScene]) -> None:
    made = make()
    found = stages.complete(made, made.query(0))
    ious = [
        iou(found.amodal[frame], made.amodal[frame])
        for frame in range(COUNT)
        if (made.amodal[frame] & ~made.visible[frame]).any()
    ]
    assert np.mean(ious) > 0.85


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_what_is_told_goes_together(stages: Stages, make: Callable[[], HiddenScene]) -> None:
    made = make()
    found = stages.complete(made, made.query(0))
    for hypothesis in found.hypotheses:
        for frame in range(COUNT):
            amodal, visible = hypothesis.amodal[frame], made.visible[frame]
            assert (amodal | ~visible).all()
            assert not (amodal & ~visible & ~found.occlusion.hiders[frame]).any()
            assert not (found.occlusion.hiders[frame] & visible).any()
    scores = [hypothesis.score for hypothesis in found.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    for frame, told in enumerate(found.occlusion.frames):
        if told.level is OcclusionLevel.NO_OCCLUSION:
            assert found.amodal.same_frame(made.visible, frame)


def test_an_object_in_full_view_keeps_its_visible_masks(stages: Stages) -> None:
    made = scene(passing_object, object_x=walk, frames=range(14))
    found = stages.complete(made, made.query(0))
    levels = [told.level for told in found.occlusion.frames]
    assert levels.count(OcclusionLevel.NO_OCCLUSION) >= len(levels) - 1
    extra = found.amodal.areas.sum() - made.visible.areas.sum()
    assert extra < 0.01 * made.visible.areas.sum()


def test_an_object_that_leaves_the_frame_stays_away(stages: Stages) -> None:
    made = scene(lambda t: ellipse(80 + 6 * t, 50, 20, 16), object_x=lambda t: 80 + 6 * t)
    found = stages.complete(made, made.query(0))
    assert found.occlusion.frames[-1].level is OcclusionLevel.NONE
    assert found.occlusion.boxes[-1] is None
    assert not found.amodal[COUNT - 1].any()


def test_an_amodal_mask_drawn_by_hand_is_kept(stages: Stages) -> None:
    made = behind_wall()
    drawn = {11: cv2.dilate(made.amodal[11].view(np.uint8), np.ones((9, 9))) > 0}
    found = stages.complete(made, Query({0: made.visible[0]}, drawn))
    assert (found.amodal[11] == drawn[11]).all()


def test_a_hidden_part_drawn_by_hand_at_the_border_steers_the_frames_beside_it(
    stages: Stages,
) -> None:
    made = scene(
        lambda t: ellipse(40 + 4 * t, 20, 24, 22), lambda t: bar(84, 100), object_x=lambda t: 4 * t
    )
    alone = stages.complete(made, made.query(0))
    assert alone.occlusion.frames[11].level is OcclusionLevel.NONE  # TABE's rule
    found = stages.complete(made, Query({0: made.visible[0]}, {12: made.amodal[12]}))
    assert found.occlusion.frames[11].level is OcclusionLevel.SLIGHT_OCCLUSION
    assert iou(found.amodal[11], made.amodal[11]) > iou(alone.amodal[11], made.amodal[11])


def test_an_object_that_is_never_seen_is_not_drawn(stages: Stages) -> None:
    made = scene(passing_object, object_x=walk)
    nothing = MaskStack.empty(COUNT, HEIGHT, WIDTH)
    track = VisibleTrack(nothing, np.zeros(COUNT, np.float32))
    found = stages.complete(made, Query({0: nothing[0]}), track)
    assert found.amodal == nothing
    assert set(found.occlusion.boxes) == {None}


def test_after_another_reasoner_hidden_parts_lie_behind_its_hiders(stages: Stages) -> None:
    made = crossed()
    queries, tracks = {1: made.query(0)}, {1: made.track()}
    reasoner = OutlineReasoner(OutlineSettings())
    occlusions = reasoner.reason(made.clip, queries, tracks, Watch())
    (best, *_) = stages.completer.complete(made.clip, queries, tracks, occlusions, Watch())[1]
    hidden = [best.amodal[frame] & ~made.visible[frame] for frame in range(COUNT)]
    assert any(mask.any() for mask in hidden)
    for frame, mask in enumerate(hidden):
        assert not (mask & ~occlusions[1].hiders[frame]).any()


def test_two_objects_and_progress(stages: Stages) -> None:
    made = crossed()
    other = MaskStack((ellipse(40, 15, 10, 8) for _ in range(COUNT)), HEIGHT, WIDTH)
    queries = {1: made.query(0), 5: Query({0: other[0]})}
    tracks = {1: made.track(), 5: VisibleTrack(other, np.ones(COUNT, np.float32))}
    steps: list[Progress] = []
    occlusions = stages.reasoner.reason(made.clip, queries, tracks, Watch(steps.append))
    assert steps[-1].done == steps[-1].total
    steps.clear()
    found = stages.completer.complete(made.clip, queries, tracks, occlusions, Watch(steps.append))
    assert set(found) == {1, 5}
    shown = [(step.mask.object_id, step.mask.frame) for step in steps if step.mask]
    assert shown == [(1, t) for t in range(COUNT)] + [(5, t) for t in range(COUNT)]


def test_a_cancel_is_noticed(stages: Stages) -> None:
    made = behind_pillar()
    asked = iter([False] * (COUNT + 5) + [True] * 1000)
    watch = Watch(None, lambda: next(asked))
    with pytest.raises(Cancelled):
        stages.reasoner.reason(made.clip, {1: made.query(0)}, {1: made.track()}, watch)


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_visible_masks_keep_the_promises(stages: Stages, data: st.DataObject) -> None:
    """Whatever a tracker gives: specks, holes, jumps, empty frames."""
    made = scene(passing_object, object_x=walk, frames=range(6))
    places = (st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1))
    corners = st.tuples(*places, st.integers(0, 60), st.integers(0, 60))
    masks = []
    for y, x, height, width in data.draw(st.lists(corners, min_size=6, max_size=6)):
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[y : y + height, x : x + width] = True
        masks.append(mask)
    masks[2] = made.visible[2]
    stack = MaskStack(masks, HEIGHT, WIDTH)
    confidence = np.array([data.draw(st.floats(0, 1, width=32)) for _ in masks], np.float32)
    found = stages.complete(made, made.query(2), VisibleTrack(stack, confidence))
    for frame in range(6):
        amodal, visible = found.amodal[frame], stack[frame]
        assert (amodal | ~visible).all()
        assert not (amodal & ~visible & ~found.occlusion.hiders[frame]).any()
        assert not (found.occlusion.hiders[frame] & visible).any()
