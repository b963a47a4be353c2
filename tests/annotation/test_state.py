"""Objects, locks, hypotheses and history: what changes and what must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import disk, objects, stacks

from napari_amodal.annotation.clip_annotation import (
    ClipAnnotation,
    merged,
    with_new_object,
    with_object,
    without_object,
)
from napari_amodal.annotation.history import MOST_STEPS, History
from napari_amodal.annotation.hypotheses import consensus, disagreement, disagreement_share, picked
from napari_amodal.annotation.object_annotation import (
    CONSENSUS,
    ObjectAnnotation,
    corrected,
    with_level,
    with_locks,
    with_query,
)
from napari_amodal.errors import InputError
from napari_amodal.export import Origin
from napari_amodal.levels import OcclusionLevel, frame_occlusion
from napari_amodal.masks import MaskStack
from napari_amodal.stages import Hypothesis

SHAPE = (5, 9, 11)


def with_masks(mask: np.ndarray) -> ObjectAnnotation:
    stack = MaskStack([mask] * 5, *SHAPE[1:])
    empty = ObjectAnnotation.empty("ball", "#ff0000", SHAPE)
    return replace(empty, visible=stack, amodal=stack)


def test_a_correction_locks_its_frame_and_says_whose_it_is() -> None:
    small, large = disk(9, 11, 4, 4, 2), disk(9, 11, 4, 4, 3)
    after = corrected(with_masks(small), {1: large, 2: small}, {})
    assert after.locked == after.corrected == {1}  # frame 2 is as it was
    assert after.visible_origin[1] is after.amodal_origin[1] is Origin.EDITED
    assert after.amodal[1][large].all()  # amodal contains visible


def test_what_is_erased_of_the_whole_is_not_seen_either() -> None:
    small, large = disk(9, 11, 4, 4, 2), disk(9, 11, 4, 4, 3)
    after = corrected(with_masks(large), {}, {3: small})
    assert np.array_equal(after.visible[3], small)
    kept = corrected(with_masks(large), {}, {3: small}, contain_visible=False)
    assert np.array_equal(kept.visible[3], large)


@given(objects(SHAPE), stacks(SHAPE), stacks(SHAPE), st.frozensets(st.integers(0, 4)))
def test_after_a_correction_amodal_contains_visible(
    annotated: ObjectAnnotation, visible: MaskStack, amodal: MaskStack, frames: frozenset[int]
) -> None:
    chosen = {frame: amodal[frame] for frame in frames}
    after = corrected(annotated, {0: visible[0]}, chosen)
    for frame in {0, *frames}:
        assert not (after.visible[frame] & ~after.amodal[frame]).any()
    for frame in set(range(5)) - {0, *frames}:
        assert after.visible.same_frame(annotated.visible, frame)
        assert after.amodal.same_frame(annotated.amodal, frame)
    assert after.locked >= annotated.locked


def test_locks_are_set_and_lifted_for_ranges() -> None:
    annotated = with_locks(with_masks(disk(9, 11, 4, 4, 2)), range(1, 4), locked=True)
    assert with_locks(annotated, [2], locked=False).locked == {1, 3}


def test_a_lock_goes_before_a_query() -> None:
    small, large = disk(9, 11, 4, 4, 2), disk(9, 11, 4, 4, 3)
    annotated = with_query(with_query(with_masks(small), 0, large), 4, large)
    query = with_locks(annotated, [0], locked=True).painted
    assert np.array_equal(query.visible[0], small)
    assert np.array_equal(query.visible[4], large)
    assert set(query.amodal) == {0}


def test_the_level_by_hand_counts_and_the_amount_follows_from_the_masks() -> None:
    small, large = disk(9, 11, 4, 4, 2), disk(9, 11, 4, 4, 3)
    annotated = replace(with_masks(small), amodal=MaskStack([large] * 5, *SHAPE[1:]))
    amount = 1 - small.sum() / large.sum()
    by_hand = with_level(annotated, [1, 2], OcclusionLevel.SLIGHT_OCCLUSION)
    assert by_hand.occlusion(0).level is OcclusionLevel.SEVERE_OCCLUSION
    assert by_hand.occlusion(1).level is OcclusionLevel.SLIGHT_OCCLUSION
    assert by_hand.occlusion(1).amount == pytest.approx(amount)
    assert by_hand.annotation().occlusion[2] == by_hand.occlusion(2)
    assert with_level(by_hand, [1], None).occlusion(1) == by_hand.occlusion(0)
    gone = with_level(annotated, [0], OcclusionLevel.NONE)
    assert gone.occlusion(0).amount is None


@given(objects(SHAPE), st.data())
def test_picking_changes_the_chosen_unlocked_frames_only(
    annotated: ObjectAnnotation, data: st.DataObject
) -> None:
    count = len(annotated.hypotheses)
    if not count:
        with pytest.raises(ValueError, match="0 hypotheses"):
            picked(annotated, 0, [0])
        return
    choice = data.draw(st.sampled_from([CONSENSUS, *range(count)]))
    frames = data.draw(st.frozensets(st.integers(0, 4)))
    after = picked(annotated, choice, frames)
    free = frames - annotated.locked
    votes = sum(found.amodal.__array__().astype(int) for found in annotated.hypotheses)
    for frame in range(5):
        if frame not in free:
            assert after.amodal.same_frame(annotated.amodal, frame)
            assert after.picks[frame] == annotated.picks[frame]
            continue
        best = annotated.hypotheses[0].amodal[frame]
        most = (2 * votes[frame] > count) | ((2 * votes[frame] == count) & best)
        said = most if choice == CONSENSUS else annotated.hypotheses[choice].amodal[frame]
        assert np.array_equal(after.amodal[frame], said | annotated.visible[frame])
        assert np.array_equal(consensus(annotated, frame), most)
        divided = disagreement(annotated, frame)
        assert np.array_equal(divided == 0, (votes[frame] == 0) | (votes[frame] == count))
        assert (disagreement_share(annotated, frame) > 0) == bool(divided.any())


def test_two_of_three_hypotheses_decide() -> None:
    first, second = disk(9, 11, 4, 3, 3), disk(9, 11, 4, 5, 3)
    stacks_ = [MaskStack([mask] * 5, *SHAPE[1:]) for mask in (first, second, second)]
    annotated = replace(
        ObjectAnnotation.empty("ball", "#ff0000", SHAPE),
        hypotheses=tuple(Hypothesis(stack, 0.5) for stack in stacks_),
    )
    assert np.array_equal(consensus(annotated, 0), second)
    union, common = (first | second).sum(), (first & second).sum()
    assert disagreement_share(annotated, 0) == pytest.approx(1 - common / union)


def test_objects_come_and_go_and_are_merged() -> None:
    state = ClipAnnotation(SHAPE)
    for _ in range(3):
        state, last = with_new_object(state)
    assert (last, list(state.objects)) == (3, [1, 2, 3])
    assert len({found.color for found in state.objects.values()}) == 3
    state, again = with_new_object(without_object(state, 2), "dog")
    assert (again, state.objects[2].name) == (2, "dog")

    left, right = disk(9, 11, 4, 2, 2), disk(9, 11, 4, 8, 2)
    state = with_object(state, 1, with_query(with_masks(left), 0, left))
    state = with_object(state, 3, corrected(with_masks(left & ~left), {2: right}, {2: right}))
    both = merged(state, 1, 3)
    assert list(both.objects) == [1, 2]
    found = both.objects[1]
    assert np.array_equal(found.visible[2], left | right)
    assert found.locked == {2}
    assert found.corrected == {2}
    # the query of a part is one of the whole
    assert np.array_equal(found.painted.visible[0], left)
    with pytest.raises(InputError, match="merged with itself"):
        merged(state, 1, 1)


@given(objects(SHAPE), objects(SHAPE))
def test_merged_masks_are_united(first: ObjectAnnotation, second: ObjectAnnotation) -> None:
    state = with_object(with_object(ClipAnnotation(SHAPE), 4, first), 2, second)
    found = merged(state, 4, 2).objects[4]
    for name in ("visible", "amodal"):
        one, other = np.asarray(getattr(first, name)), np.asarray(getattr(second, name))
        assert np.array_equal(np.asarray(getattr(found, name)), one | other)
    assert found.locked == first.locked | second.locked


def test_undo_and_redo() -> None:
    first = ClipAnnotation(SHAPE)
    second, third = with_new_object(first)[0], with_new_object(first, "other")[0]
    history = History.begin(first).done("Add object", second)
    assert history.done("nothing", history.state) is history
    assert history.undo_label == "Add object"
    back = history.undone()
    assert back.state is first
    assert (back.undo_label, back.redo_label) == (None, "Add object")
    assert back.undone().state is first
    assert back.redone().state is second
    other = back.done("Add another", third)
    assert other.redo_label is None
    assert other.redone().state is third
    assert other.amended(second).undone().state is first


def test_history_keeps_the_latest_steps_and_shares_what_is_the_same() -> None:
    mask = disk(9, 11, 4, 4, 2)
    state = with_object(ClipAnnotation(SHAPE), 1, with_masks(mask))
    history = History.begin(state)
    for step in range(MOST_STEPS + 20):
        now = history.state
        moved = corrected(now.objects[1], {step % 4: np.roll(mask, step % 3 + 1, axis=1)}, {})
        history = history.done(f"step {step}", with_object(now, 1, moved))
    assert len(history.steps) <= MOST_STEPS
    untouched = {id(step.state.objects[1].visible.packed[4]) for step in history.steps}
    assert len(untouched) == 1


@given(objects((3, 7, 8)), st.integers(0, 2))
def test_the_occlusion_is_that_of_the_whole_frame(found: ObjectAnnotation, frame: int) -> None:
    whole = frame_occlusion(
        found.visible[frame], found.amodal[frame], frame in found.leaving, found.levels.get(frame)
    )
    assert found.occlusion(frame) == whole
