"""Which frames the completer's network sees together, and the windows that it sees them in."""

from __future__ import annotations

import numpy as np
import pytest
from hidden_scenes import COUNT, HEIGHT, WIDTH, HiddenScene, behind_wall, crossed, walk
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.draft.completion import MOST_FRAMES, chunks
from napari_amodal.draft.motion import measure_motion
from napari_amodal.draft.window_path import Window, window_path
from napari_amodal.draft.window_views import WINDOW, Look, chunk_channels
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=400))
def test_every_frame_is_answered_once(areas: list[int]) -> None:
    answered: list[int] = []
    for frames, own in chunks(len(areas), np.array(areas, np.int64)):
        assert len(frames) <= MOST_FRAMES
        assert frames == sorted(set(frames))
        assert own <= set(frames)
        answered += own
    assert sorted(answered) == list(range(len(areas)))


def test_a_segment_is_shown_with_the_best_views_of_others() -> None:
    areas = np.ones(130, np.int64)
    areas[[20, 110]] = 50
    middle = [frames for frames, own in chunks(len(areas), areas) if 60 in own]
    assert {20, 110} <= set(middle[0])


def windows(made: HiddenScene, masks: MaskStack) -> tuple[Window, ...]:
    motion = measure_motion(made.clip, {1: masks}, Watch(), (0, COUNT))
    confidence = np.ones(COUNT, np.float32)
    size = (HEIGHT, WIDTH)
    found = window_path(
        masks.boxes, frozenset({0}), confidence, motion.camera, motion.objects[1], size
    )
    assert found is not None
    return found


@pytest.mark.parametrize("make", [behind_wall, crossed])
def test_windows_stay_with_an_object_that_is_hidden(make: type[HiddenScene]) -> None:
    made = make()
    for window, box in zip(windows(made, made.visible), made.amodal.boxes, strict=True):
        assert box is not None
        if box.x1 < WIDTH:  # the part beyond the frame is not in the mask
            assert abs(window.x + 0.5 - box.center[1]) < 0.15 * box.width
            assert abs(window.y + 0.5 - box.center[0]) < 0.15 * box.height
        assert window.half_width > 0.6 * box.width


def test_there_are_no_windows_for_what_is_never_seen() -> None:
    nothing = (None,) * 3
    steps = [np.eye(3)] * 2
    ones = np.ones(3, np.float32)
    assert window_path(nothing, frozenset(), ones, steps, [None, None], (50, 60)) is None


def test_channels_show_the_mask_and_what_was_seen_before_the_object_came() -> None:
    made = crossed()
    looks = []
    for frame in (0, 12, 23):
        picture = made.clip.frame(frame) / np.float32(255) - np.float32(0.5)
        pixels = np.dstack([picture, made.visible[frame]]).astype(np.float32)
        window = Window(50, 40, 45, 60)
        looks.append(Look(pixels, window, np.eye(3), frame, 0.7, frame == 0))
    found = chunk_channels(looks)
    assert found["times"].tolist() == [0, 12, 23]
    to_frame = looks[0].window.to_frame(WINDOW)
    x, y = (np.linalg.inv(to_frame) @ [walk(0) + 40, 50, 1])[:2].round().astype(int)
    assert found["fine"][0, 3, y, x] == 1
    assert found["fine"][2, 3, y, x] == 0
    # the ground where the object was at first is seen in neither of the later frames but one
    views, same = found["coarse"][2, 1, y // 2, x // 2], found["coarse"][2, 0, y // 2, x // 2]
    assert 0 <= views < 1
    assert same > 0.9 or views == 0
    assert found["coarse"][:, 6].min() == found["coarse"][:, 6].max() == np.float32(0.7)
    assert found["coarse"][:, 7, 0, 0].tolist() == [1, 0, 0]
