"""The draft completer on scenes whose hidden parts are known exactly."""

from __future__ import annotations

from collections.abc import Callable

import cv2
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
    slows_behind_wall,
    stops_behind_wall,
    walk,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_amodal.draft.occlusion import OutlineReasoner, OutlineSettings
from napari_amodal.draft.shape_completer import ShapeCompleter, ShapeSettings
from napari_amodal.errors import Cancelled
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack, iou
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Query, VisibleTrack


def scores(made: HiddenScene, amodal: MaskStack) -> list[float]:
    """IoU of the frames in which something is hidden."""
    return [
        iou(amodal[frame], made.amodal[frame])
        for frame in range(len(made.clip))
        if (made.amodal[frame] & ~made.visible[frame]).any()
    ]


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_hidden_parts_are_completed(make: Callable[[], HiddenScene]) -> None:
    made = make()
    found = scores(made, complete(made, made.query(0)).amodal)
    assert np.mean(found) > 0.85
    assert min(found) > 0.7


def test_an_object_that_is_occluded_at_the_start_gets_its_later_shape() -> None:
    made = scene(passing_object, lambda t: bar(10, 40), object_x=walk)
    amodal = complete(made, made.query(COUNT - 1)).amodal
    assert iou(made.visible[0], made.amodal[0]) < 0.6
    assert iou(amodal[0], made.amodal[0]) > 0.7


def test_an_object_that_is_occluded_to_the_end_keeps_its_earlier_shape() -> None:
    made = scene(passing_object, lambda t: bar(125, 180), object_x=walk)
    amodal = complete(made, made.query(0)).amodal
    assert np.mean(scores(made, amodal)) > 0.8


def test_an_object_that_changes_speed_while_hidden_is_carried_between_both_ends() -> None:
    made = slows_behind_wall()
    hidden = [frame for frame, box in enumerate(made.visible.boxes) if box is None]
    assert len(hidden) >= 8
    query = Query({0: made.visible[0], COUNT - 1: made.visible[COUNT - 1]})
    amodal = complete(made, query).amodal
    x0 = [amodal.boxes[frame].x0 for frame in hidden if amodal.boxes[frame]]
    assert len(x0) == len(hidden)
    assert x0 == sorted(x0)
    assert min(iou(amodal[frame], made.amodal[frame]) for frame in hidden) > 0.6


def test_an_object_that_never_comes_back_stays_behind_what_hides_it() -> None:
    made = stops_behind_wall()
    amodal = complete(made, made.query(0)).amodal
    lost = [frame for frame, box in enumerate(made.visible.boxes) if box is None]
    assert len(lost) >= 8
    for frame in lost:
        assert amodal.areas[frame] > 0.8 * made.amodal.areas[frame]
        assert not (amodal[frame] & ~bar(80, 140)).any()


def test_an_object_that_is_lost_on_plain_ground_is_not_drawn_there() -> None:
    """The tracker loses it in full view: nothing is there that could hide it."""
    made = scene(lambda t: ellipse(50, 50, 20, 18))
    blank = {frame: np.zeros((HEIGHT, WIDTH), np.bool_) for frame in range(6, COUNT)}
    masks = made.visible.replaced(blank)
    track = VisibleTrack(masks, np.ones(COUNT, np.float32))
    assert complete(made, made.query(0), track).amodal == masks


def test_parts_seen_at_different_times_are_put_together() -> None:
    """A grid of bars always hides some of the object: no frame shows all of it."""

    def grid(t: int) -> np.ndarray:
        return np.logical_or.reduce([bar(x, x + 9) for x in range(-1, WIDTH, 30)])

    made = scene(passing_object, grid, object_x=walk)
    assert all((made.amodal[frame] & ~made.visible[frame]).any() for frame in range(COUNT))
    # the query is taken as complete: the best guess is then what most other frames show
    amodal = complete(made, made.query(12)).amodal
    better = [
        iou(amodal[frame], made.amodal[frame]) > iou(made.visible[frame], made.amodal[frame])
        for frame in range(COUNT)
        if frame != 12
    ]
    assert np.mean(better) > 0.7


def test_an_object_that_leaves_the_frame_stays_away() -> None:
    made = scene(lambda t: ellipse(80 + 6 * t, 50, 20, 16), object_x=lambda t: 80 + 6 * t)
    assert complete(made, made.query(0)).amodal == made.visible


@pytest.mark.parametrize("make", [behind_pillar, behind_wall, crossed])
def test_amodal_holds_the_visible_mask_and_the_rest_lies_behind_hiders(
    make: Callable[[], HiddenScene],
) -> None:
    made = make()
    found = complete(made, made.query(0))
    for hypothesis in found.hypotheses:
        for frame in range(COUNT):
            amodal, visible = hypothesis.amodal[frame], made.visible[frame]
            assert (amodal | ~visible).all()
            assert not (amodal & ~visible & ~found.occlusion.hiders[frame]).any()
    best = [hypothesis.score for hypothesis in found.hypotheses]
    assert best == sorted(best, reverse=True)
    assert all(0 <= score <= 1 for score in best)


def test_plainly_visible_ground_is_never_covered() -> None:
    """The object loses its upper half for a while; nothing is there that could hide it."""

    def sway(t: int) -> float:
        return 90 + 20 * np.sin(2 * np.pi * t / 12)

    def shape(t: int) -> np.ndarray:
        whole = ellipse(sway(t), 50, 14, 30)
        if 9 <= t < 15:
            whole[:45] = False
        return whole

    made = scene(shape, object_x=sway)
    amodal = complete(made, made.query(0)).amodal
    extra = sum(np.count_nonzero(amodal[t] & ~made.visible[t]) for t in range(COUNT))
    assert extra < 0.02 * made.visible.areas.sum()


def test_an_amodal_mask_drawn_by_hand_is_kept_and_used() -> None:
    made = behind_wall()
    # drawn larger than the object ever was: neighbouring hidden frames follow it
    drawn = {11: cv2.dilate(made.amodal[11].view(np.uint8), np.ones((9, 9))) > 0}
    plain = complete(made, made.query(0)).amodal
    found = complete(made, Query({0: made.visible[0]}, drawn)).amodal
    assert (found[11] == drawn[11]).all()
    assert found.areas[10] > 1.1 * plain.areas[10]


def test_frames_told_unoccluded_keep_their_visible_mask() -> None:
    made = crossed()
    found = complete(made, made.query(0))
    for frame, told in enumerate(found.occlusion.frames):
        if told.level is OcclusionLevel.NO_OCCLUSION:
            assert found.amodal.same_frame(made.visible, frame)


def test_two_objects_are_completed_each_for_itself() -> None:
    made = crossed()
    other = MaskStack((ellipse(40, 15, 10, 8) for _ in range(COUNT)), HEIGHT, WIDTH)
    queries = {1: made.query(0), 5: Query({0: other[0]})}
    tracks = {1: made.track(), 5: VisibleTrack(other, np.ones(COUNT, np.float32))}
    steps: list[Progress] = []
    watch = Watch(steps.append)
    occlusions = OutlineReasoner(OutlineSettings()).reason(made.clip, queries, tracks, watch)
    steps.clear()
    found = ShapeCompleter(ShapeSettings()).complete(made.clip, queries, tracks, occlusions, watch)
    assert set(found) == {1, 5}
    assert np.mean(scores(made, found[1][0].amodal)) > 0.9
    assert found[5][0].amodal == other
    shown = [(step.mask.object_id, step.mask.frame) for step in steps if step.mask]
    assert shown == [(1, t) for t in range(COUNT)] + [(5, t) for t in range(COUNT)]
    assert steps[-1].done == steps[-1].total


def test_noisy_masks_do_not_blow_up() -> None:
    made = crossed()
    rng = np.random.default_rng(0)
    noisy = []
    for frame in range(COUNT):
        noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)), (0, 0), 2)
        noise /= noise.std()
        mask = made.visible[frame].copy()
        edge = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((7, 7))) > 0
        mask ^= edge & (noise > 0.8)
        mask &= noise > -2.2
        noisy.append(mask if frame % 7 != 3 else np.zeros_like(mask))
    noisy[0] = made.visible[0]
    masks = MaskStack(noisy, HEIGHT, WIDTH)
    confidence = np.where(masks.areas > 0, 0.7, 0.0).astype(np.float32)
    amodal = complete(made, made.query(0), VisibleTrack(masks, confidence)).amodal
    ious = [iou(amodal[t], made.amodal[t]) for t in range(COUNT)]
    given_ious = [iou(masks[t], made.amodal[t]) for t in range(COUNT)]
    assert np.mean(ious) > np.mean(given_ious)
    assert max(amodal.areas) < 1.4 * max(made.amodal.areas)


def test_a_cancel_is_noticed() -> None:
    made = behind_pillar()
    queries, tracks = {1: made.query(0)}, {1: made.track()}
    occlusions = OutlineReasoner(OutlineSettings()).reason(made.clip, queries, tracks, Watch())
    asked = iter([False] * (COUNT + 3) + [True] * 1000)
    with pytest.raises(Cancelled):
        ShapeCompleter(ShapeSettings()).complete(
            made.clip, queries, tracks, occlusions, Watch(None, lambda: next(asked))
        )


@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_visible_masks_keep_the_promises(data: st.DataObject) -> None:
    """Whatever a tracker gives: specks, holes, jumps, empty frames."""
    made = scene(passing_object, object_x=walk, frames=range(6))
    boxes = data.draw(
        st.lists(
            st.tuples(*(st.integers(0, n - 1) for n in (HEIGHT, WIDTH)), *[st.integers(0, 60)] * 2),
            min_size=6,
            max_size=6,
        )
    )
    masks = []
    for y, x, height, width in boxes:
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[y : y + height, x : x + width] = True
        mask[y + 2 : y + height // 2, x + 2 : x + width // 2] = False
        masks.append(mask)
    masks[2] = made.visible[2]
    stack = MaskStack(masks, HEIGHT, WIDTH)
    confidence = np.array([data.draw(st.floats(0, 1, width=32)) for _ in masks], np.float32)
    found = complete(made, made.query(2), VisibleTrack(stack, confidence))
    assert found.amodal.shape == stack.shape
    for frame in range(6):
        amodal, visible = found.amodal[frame], stack[frame]
        assert (amodal | ~visible).all()
        assert not (amodal & ~visible & ~found.occlusion.hiders[frame]).any()
        assert not (found.occlusion.hiders[frame] & visible).any()
