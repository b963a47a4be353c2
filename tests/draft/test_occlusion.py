"""The draft occlusion reasoner on scenes whose hidden parts are known exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hidden_scenes import (
    COUNT,
    HEIGHT,
    WIDTH,
    HiddenScene,
    bar,
    behind_pillar,
    behind_wall,
    complete,
    crossed,
    ellipse,
    passing_object,
    scene,
    walk,
)

from napari_amodal.draft.leaving import frames_leaving
from napari_amodal.draft.occlusion import OutlineReasoner, OutlineSettings, clear_frames
from napari_amodal.errors import Cancelled
from napari_amodal.levels import OcclusionLevel, occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Occlusion, Query, VisibleTrack

NO, SLIGHT, SEVERE, NONE = (
    OcclusionLevel.NO_OCCLUSION,
    OcclusionLevel.SLIGHT_OCCLUSION,
    OcclusionLevel.SEVERE_OCCLUSION,
    OcclusionLevel.NONE,
)


def reason(made: HiddenScene, query: Query, watch: Watch | None = None) -> Occlusion:
    reasoner = OutlineReasoner(OutlineSettings())
    return reasoner.reason(made.clip, {1: query}, {1: made.track()}, watch or Watch())[1]


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_amounts_follow_the_truth(make: Callable[[], HiddenScene]) -> None:
    made = make()
    found = reason(made, made.query(0)).frames
    true = occlusion_of(made.visible, made.amodal)
    errors = [
        abs(f.amount - t.amount)
        for f, t in zip(found, true, strict=True)
        if f.amount is not None and t.amount is not None
    ]
    assert np.mean(errors) < 0.06
    agree = np.mean([f.level is t.level for f, t in zip(found, true, strict=True)])
    assert agree >= 0.75


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_boxes_hold_through_the_occlusion(make: Callable[[], HiddenScene]) -> None:
    made = make()
    found = reason(made, made.query(0)).boxes
    overlaps = [
        box.iou(true)
        for box, true in zip(found, made.amodal.boxes, strict=True)
        if box is not None and true is not None
    ]
    assert len(overlaps) == COUNT
    assert np.mean(overlaps) > 0.85
    assert min(overlaps) > 0.5


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_hiders_are_neither_the_object_nor_ground_it_walks_over(
    make: Callable[[], HiddenScene],
) -> None:
    made = make()
    hiders = reason(made, made.query(0)).hiders
    hidden = found = 0
    for frame in range(COUNT):
        assert not (hiders[frame] & made.visible[frame]).any()
        unseen = made.amodal[frame] & ~made.visible[frame]
        hidden += np.count_nonzero(unseen)
        found += np.count_nonzero(unseen & hiders[frame])
    assert found > 0.9 * hidden


def test_ground_between_two_passes_is_plain() -> None:
    """The object stands to and fro: where it was and will be again, ground is seen between."""

    def sway(t: int) -> float:
        return 90 + 20 * np.sin(2 * np.pi * t / 12)

    made = scene(lambda t: ellipse(sway(t), 50, 14, 20), object_x=sway)
    hiders = reason(made, made.query(0)).hiders
    assert hiders.areas.sum() < 0.15 * made.visible.areas.sum()


def test_an_object_that_leaves_has_no_level_and_a_box_beyond_the_frame() -> None:
    made = scene(lambda t: ellipse(80 + 6 * t, 50, 20, 16), object_x=lambda t: 80 + 6 * t)
    found = reason(made, made.query(0))
    gone = [frame for frame, box in enumerate(made.visible.boxes) if box is None]
    assert gone
    assert all(found.frames[frame].level is NONE for frame in gone)
    assert all(found.boxes[frame] is None for frame in gone)
    leaving = next(f for f, box in enumerate(made.visible.boxes) if box and box.x1 == WIDTH) + 3
    box = found.boxes[leaving]
    assert found.frames[leaving].level is NONE
    assert box is not None
    assert box.x1 > WIDTH


def test_an_object_that_emerges_was_hidden_before() -> None:
    made = scene(passing_object, lambda t: bar(0, 70), object_x=walk)
    found = reason(made, made.query(COUNT - 1))
    assert made.visible.boxes[0] is None
    assert found.frames[0].level is SEVERE
    first = found.boxes[0]
    assert first is not None
    assert first.iou(made.amodal.boxes[0]) > 0.4


def test_frames_on_which_the_object_touches_the_border_follow_the_published_rule() -> None:
    empty, inside, left = np.zeros((3, 10, 20), np.bool_)
    inside[4:6, 4:6] = True
    left[4:6, 0:3] = True
    frames = [empty, left, left, inside, empty, inside, left, inside, left, left, empty]
    stack = MaskStack(frames, 10, 20)
    assert frames_leaving(stack) == {0, 1, 2, 8, 9, 10}


def test_query_frame_is_unoccluded_and_a_drawn_amodal_mask_tells_its_amount() -> None:
    made = behind_wall()
    frame = 11
    query = Query({0: made.visible[0], 9: made.visible[9]}, {frame: made.amodal[frame]})
    found = reason(made, query).frames
    assert found[0].level is NO
    assert found[9].level in (SLIGHT, SEVERE)
    true = 1 - made.visible.areas[frame] / made.amodal.areas[frame]
    assert found[frame].amount == pytest.approx(true, abs=1e-9)


def test_the_largest_query_mask_is_taken_as_fully_visible() -> None:
    small, large = ellipse(50, 50, 5, 5), ellipse(50, 50, 20, 20)
    assert clear_frames(Query({3: small, 8: large, 9: small & False})) == {8}
    assert clear_frames(Query({3: small, 8: large}, {8: large})) == {3}


def test_a_clip_of_one_frame() -> None:
    made = scene(passing_object, frames=range(1))
    found = complete(made, made.query(0))
    assert found.occlusion.frames[0].level is NO
    assert found.amodal == made.visible


def test_a_track_that_is_empty_everywhere_but_the_query() -> None:
    made = scene(passing_object, object_x=walk)
    masks = MaskStack.empty(COUNT, HEIGHT, WIDTH).replaced({5: made.visible[5]})
    confidence = np.zeros(COUNT, np.float32)
    confidence[5] = 1
    found = complete(made, made.query(5), VisibleTrack(masks, confidence))
    assert (found.amodal[5] == made.visible[5]).all()
    assert found.occlusion.frames[5].level is NO
    assert len(found.occlusion.boxes) == COUNT


def test_a_cancel_is_noticed_and_steps_are_counted() -> None:
    made = behind_pillar()
    steps: list[Progress] = []
    reason(made, made.query(0), Watch(steps.append))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total
    for calls in (3, COUNT + 3, 2 * COUNT + 3, 3 * COUNT + 3):
        asked = iter([False] * calls + [True] * 1000)
        with pytest.raises(Cancelled):
            reason(made, made.query(0), Watch(None, lambda: next(asked)))  # noqa: B023
