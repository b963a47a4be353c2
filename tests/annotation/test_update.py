"""Update from corrections, with the draft engine on a small scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made import disk

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.gaps import Gap, gaps_beside
from napari_amodal.annotation.object_annotation import (
    ObjectAnnotation,
    corrected,
    with_locks,
    with_query,
)
from napari_amodal.annotation.update import update
from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.errors import Cancelled, InputError
from napari_amodal.export import Origin
from napari_amodal.masks import MaskStack, iou
from napari_amodal.progress import Progress
from napari_amodal.registry import find_engine

COUNT, HEIGHT, WIDTH = 16, 72, 128
DRAFT = find_engine("draft")


@pytest.fixture(scope="module")
def true() -> MaskStack:
    return MaskStack((disk(HEIGHT, WIDTH, 36, 24 + 5 * t, 13) for t in range(COUNT)), HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def clip(true: MaskStack) -> Clip:
    """A speckled disk that goes over a speckled ground."""
    random = np.random.default_rng(3)
    ground = random.integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    skin = random.integers(150, 255, (HEIGHT, 2 * WIDTH, 3), np.uint8)
    frames = np.stack([ground] * COUNT)
    for t in range(COUNT):
        frames[t][true[t]] = skin[:, WIDTH - 5 * t : 2 * WIDTH - 5 * t][true[t]]
    return clip_from_array(frames)


@pytest.fixture
def state(true: MaskStack) -> ClipAnnotation:
    """The query on frame 0 is good; all masks after it have stayed behind."""
    state, _ = with_new_object(ClipAnnotation((COUNT, HEIGHT, WIDTH)), "disk")
    still = MaskStack([true[0]] * COUNT, HEIGHT, WIDTH)
    tracked, completed = (Origin.TRACKED,) * COUNT, (Origin.COMPLETED,) * COUNT
    lagging = replace(
        state.objects[1], visible=still, amodal=still, confidence=(0.6,) * COUNT,
        visible_origin=tracked, amodal_origin=completed,
    )  # fmt: skip
    return with_object(state, 1, with_query(lagging, 0, true[0]))


def changed(before: ObjectAnnotation, after: ObjectAnnotation) -> set[int]:
    return {
        frame
        for frame in range(len(before))
        if not before.visible.same_frame(after.visible, frame)
        or not before.amodal.same_frame(after.amodal, frame)
    }


def test_frames_between_the_nearest_locks_are_done_again(
    clip: Clip, true: MaskStack, state: ClipAnnotation
) -> None:
    annotated = with_locks(state.objects[1], [12], locked=True)
    annotated = corrected(annotated, {6: true[6]}, {6: true[6]})
    reports: list[Progress] = []
    found = update(
        clip, with_object(state, 1, annotated), 1, [6], DRAFT, on_progress=reports.append
    )
    after = found.after
    assert found.frames == (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
    assert changed(annotated, after) <= set(found.frames)
    assert np.mean([iou(after.visible[f], true[f]) for f in (1, 2, 3, 4, 5, 7, 8, 9)]) > 0.8
    for frame in found.frames:
        assert not (after.visible[frame] & ~after.amodal[frame]).any()
        assert after.visible_origin[frame] is Origin.TRACKED
        assert after.amodal_origin[frame] is Origin.COMPLETED
    assert after.visible_origin[6] is Origin.EDITED
    # results come frame by frame, nearest to the correction first, and none of a locked frame
    told = [report.mask.frame for report in reports if report.mask is not None]
    assert told[0] in (5, 7)
    assert set(told) == set(found.frames)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_all_to_the_end_is_done_where_no_lock_follows(
    clip: Clip, true: MaskStack, state: ClipAnnotation
) -> None:
    annotated = corrected(state.objects[1], {10: true[10]}, {10: true[10]})
    found = update(clip, with_object(state, 1, annotated), 1, [10], DRAFT)
    assert found.frames == (*range(1, 10), *range(11, 16))
    assert min(iou(found.after.visible[f], true[f]) for f in (9, 11, 12, 13)) > 0.7


def test_work_done_meanwhile_stays(clip: Clip, true: MaskStack, state: ClipAnnotation) -> None:
    annotated = corrected(state.objects[1], {6: true[6]}, {6: true[6]})
    found = update(clip, with_object(state, 1, annotated), 1, [6], DRAFT)
    nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
    meanwhile = with_locks(corrected(annotated, {8: nothing}, {8: nothing}), [4], locked=True)
    meanwhile = replace(meanwhile, name="ball")
    merged = found.onto(meanwhile)
    assert merged.name == "ball"
    assert merged.visible.same_frame(meanwhile.visible, 8)
    assert merged.visible.same_frame(meanwhile.visible, 4)
    assert merged.visible.same_frame(found.after.visible, 7)
    assert merged.locked == {4, 6, 8}


def test_masks_that_the_correction_says_nothing_of_stay(
    clip: Clip, true: MaskStack, state: ClipAnnotation
) -> None:
    """Good masks far from the correction are not replaced by others that are as good."""
    good = replace(state.objects[1], visible=true, amodal=true)
    small = np.zeros((HEIGHT, WIDTH), np.bool_)
    small[30:40, 80:90] = True  # of frame 13, which is wrong
    wrong = replace(good, visible=true.replaced({13: small, 14: small}))
    annotated = corrected(wrong, {13: true[13]}, {13: true[13]})
    after = update(clip, with_object(state, 1, annotated), 1, [13], DRAFT).after
    assert iou(after.visible[14], true[14]) > 0.7  # what was wrong beside it is mended
    others = [frame for frame in range(COUNT) if frame not in (13, 14)]
    assert sum(true.same_frame(after.visible, frame) for frame in others) > 8
    assert min(iou(after.visible[frame], true[frame]) for frame in others) > 0.7


def test_an_absent_object_is_a_correction_too(
    clip: Clip, true: MaskStack, state: ClipAnnotation
) -> None:
    nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
    annotated = corrected(state.objects[1], {14: nothing}, {14: nothing})
    found = update(clip, with_object(state, 1, annotated), 1, [14], DRAFT)
    assert not found.after.visible[14].any()
    assert found.frames == (*range(1, 14), 15)


def test_nothing_painted_is_said(clip: Clip, state: ClipAnnotation) -> None:
    nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
    annotated = with_query(state.objects[1], 0, None)
    annotated = corrected(annotated, {3: nothing}, {3: nothing})
    with pytest.raises(InputError, match="disk has no visible mask"):
        update(clip, with_object(state, 1, annotated), 1, [3], DRAFT)


def test_nothing_corrected_is_nothing_done(clip: Clip, state: ClipAnnotation) -> None:
    assert update(clip, state, 1, [], DRAFT).after is state.objects[1]
    # a frame whose lock was lifted again is none to go by
    assert update(clip, state, 1, [5], DRAFT).frames == ()


def test_an_update_is_cancelled(clip: Clip, true: MaskStack, state: ClipAnnotation) -> None:
    annotated = corrected(state.objects[1], {6: true[6]}, {6: true[6]})
    reports: list[Progress] = []
    with pytest.raises(Cancelled):
        update(
            clip,
            with_object(state, 1, annotated),
            1,
            [6],
            DRAFT,
            on_progress=reports.append,
            is_cancelled=lambda: len(reports) > 5,
        )


def test_frames_whose_visible_masks_were_given_are_completed_again(
    clip: Clip, true: MaskStack, state: ClipAnnotation
) -> None:
    annotated = state.objects[1]
    for frame in range(len(annotated)):
        annotated = with_query(annotated, frame, true[frame])
    more = true[6] | np.roll(true[6], 4, axis=0)
    annotated = with_locks(corrected(annotated, {}, {6: more}), [10], locked=True)
    found = update(clip, with_object(state, 1, annotated), 1, [6], DRAFT)
    assert found.frames == (0, 1, 2, 3, 4, 5, 7, 8, 9)
    for frame in found.frames:
        assert found.after.amodal_origin[frame] is Origin.COMPLETED
        assert found.after.visible.same_frame(annotated.visible, frame)


def test_gaps() -> None:
    mask = np.ones((1, 1), np.bool_)
    annotated = ObjectAnnotation.empty("dot", "#ff0000", (20, 1, 1))
    annotated = with_locks(with_query(annotated, 2, mask), [8, 9, 15], locked=True)
    assert gaps_beside(annotated, [8]) == (Gap(8, range(7, 2, -1), 2),)
    assert gaps_beside(annotated, [9, 15]) == (
        Gap(9, range(10, 15), 15),
        Gap(15, range(16, 20), None),
    )
    for gap in gaps_beside(annotated, [8, 9, 15]):
        reached = {frame for _, frames in gap.ways for frame in frames}
        assert reached == set(gap.frames)
        for start, frames in gap.ways:
            assert abs(frames[0] - start) == 1
