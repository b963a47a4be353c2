"""A clip over arrays and frame sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_amodal.clip import (
    Clip,
    clip_from_array,
    clip_over,
    lazy_frames,
    origin_of,
    part_of,
    safe_name,
)


class Counting:
    """Three frames, and how often each was read."""

    shape = (3, 4, 6, 3)

    def __init__(self) -> None:
        self.reads: list[int] = []

    def read(self, frame: int) -> np.ndarray:
        self.reads.append(frame)
        return np.full(self.shape[1:], frame, np.uint8)


def test_frames_are_read_one_by_one_and_only_when_asked_for() -> None:
    source = Counting()
    clip = clip_over("three", source)
    assert (len(clip), clip.height, clip.width) == (3, 4, 6)
    assert clip.frames.chunksize == (1, 4, 6, 3)
    assert source.reads == []
    assert clip.frame(2).max() == 2
    assert clip.frame(-1).max() == 2
    assert source.reads == [2, 2]
    assert [int(frame.max()) for frame in clip] == [0, 1, 2]


@pytest.mark.parametrize("wrap", [np.asarray, lambda frames: da.from_array(frames, chunks=2)])
def test_an_array_gives_its_frames(wrap: object) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    clip = clip_from_array(wrap(frames), "noise")
    assert clip.name == "noise"
    assert clip.frames.chunksize == (1, 4, 6, 3)
    assert all(np.array_equal(clip.frame(n), frames[n]) for n in range(5))


def test_writing_into_a_frame_leaves_the_array_alone() -> None:
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    clip_from_array(frames).frame(0)[:] = 7
    assert frames.max() == 0


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 4, 6), np.uint8),
        np.zeros((2, 4, 6, 4), np.uint8),
        np.zeros((2, 4, 6, 3), np.float32),
        np.zeros((0, 4, 6, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames are uint8"):
        clip_from_array(frames)


def test_an_origin_belongs_to_unchanged_frames_only() -> None:
    source = Counting()
    clip = clip_over("three", source, Path("three.mp4"), 25.0)
    found = origin_of(clip.frames)
    assert found is not None
    assert (found.source, found.path, found.fps) == (source, Path("three.mp4"), 25.0)
    assert origin_of(replace(clip, name="other").frames) is found
    assert origin_of(clip.frames[:2]) is None
    assert origin_of(clip.frames + 1) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\\b", "a\0b"])
def test_a_name_that_is_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a clip"):
        Clip(name, lazy_frames(Counting()))


@given(st.text())
def test_any_text_makes_a_safe_name(text: str) -> None:
    name = safe_name(text.encode(errors="ignore").decode())
    assert Clip(name, lazy_frames(Counting())).name == name
    assert Path("folder", name).parent == Path("folder")
    assert len(name.encode()) <= 200


def test_ordinary_names_stay_as_they_are() -> None:
    assert safe_name("car behind man-1 (é)") == "car behind man-1 (é)"
    assert safe_name("../etc") == "_etc"


def test_a_part_of_a_clip_in_any_order() -> None:
    frames = np.arange(6 * 2 * 3 * 3, dtype=np.uint8).reshape(6, 2, 3, 3)
    clip = clip_from_array(frames)
    part = part_of(clip, [5, 3, 4, 0])
    assert np.array_equal(np.asarray(part.frames), frames[[5, 3, 4, 0]])
    nested = part_of(part, range(2, -1, -1))
    assert nested.part == (4, 3, 5)
    assert np.array_equal(nested.frame(2), frames[5])
