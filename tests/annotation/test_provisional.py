"""What a running job finds, over the work that goes on."""

from __future__ import annotations

import numpy as np
from made import disk

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.object_annotation import corrected, with_locks
from napari_amodal.annotation.provisional import Provisional
from napari_amodal.annotation.state_changes import changed_frames, has_other_objects
from napari_amodal.export import Origin
from napari_amodal.masks import MaskStack

SHAPE = (6, 20, 30)
BALL = MaskStack([disk(20, 30, 10, 12, 5)], 20, 30).packed[0]


def state() -> ClipAnnotation:
    return with_new_object(ClipAnnotation(SHAPE))[0]


def test_masks_are_laid_over_what_is_not_the_annotators() -> None:
    begin = state()
    begin = with_object(begin, 1, with_locks(begin.objects[1], [2], locked=True))
    found = Provisional(begin)
    for frame in range(4):
        found.add("visible", 1, frame, BALL)
    hand = np.zeros((20, 30), np.bool_)
    hand[3:6, 3:6] = True
    now = with_object(begin, 1, corrected(begin.objects[1], {3: hand}, {3: hand}))
    over = found.onto(now).objects[1]
    assert [box is not None for box in over.visible.boxes] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert (over.visible[3] == hand).all()
    assert over.visible_origin[:2] == (Origin.TRACKED,) * 2
    assert found.frames == {0, 1, 2, 3}


def test_a_new_object_is_made_and_a_deleted_one_stays_away() -> None:
    begin = state()
    found = Provisional(begin)
    found.add("amodal", 1, 0, BALL)
    found.add("amodal", 2, 0, BALL)
    over = found.onto(ClipAnnotation(SHAPE))
    assert list(over.objects) == [2]
    assert list(found.onto(begin).objects) == [1, 2]


def test_changed_frames_are_those_that_differ() -> None:
    before = state()
    hand = disk(20, 30, 8, 8, 3)
    after = with_object(before, 1, corrected(before.objects[1], {4: hand}, {}))
    after = with_object(after, 1, with_locks(after.objects[1], [0, 4], locked=True))
    assert changed_frames(before, after) == {1: frozenset({0, 4})}
    assert changed_frames(after, after) == {}
    assert not has_other_objects(before, after)
    more, _ = with_new_object(after, "cup")
    assert has_other_objects(after, more)
    assert changed_frames(after, more) == {2: frozenset(range(6))}
