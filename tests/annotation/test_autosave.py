"""Saving in a thread of its own, and finding sessions again."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from made import disk, reference

from napari_amodal.annotation.autosave import Autosave
from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.clip_reference import (
    check_is,
    find_clip,
    fingerprint_of,
    reference_to,
)
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import corrected
from napari_amodal.annotation.session import Session
from napari_amodal.annotation.session_folder import SessionFolder
from napari_amodal.annotation.session_search import (
    CLOSED,
    PLACE_VARIABLE,
    is_in_use,
    look_into,
    new_session_folder,
    remember,
    sessions_of,
    unfinished,
)
from napari_amodal.clip import clip_from_array
from napari_amodal.errors import InputError
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack

SHAPE = (12, 24, 32)


def session(step: int) -> Session:
    """A session with `step` steps."""
    state, _ = with_new_object(ClipAnnotation(SHAPE))
    history = History.begin(state)
    for frame in range(step):
        mask = {frame: disk(24, 32, 12, 5 + frame, 4)}
        state = with_object(state, 1, corrected(state.objects[1], mask, mask))
        history = history.done(f"step {frame}", state)
    return Session(reference(SHAPE), history)


def test_the_latest_offer_is_saved_in_another_thread(tmp_path: Path) -> None:
    threads: set[str] = set()

    def open_folder() -> SessionFolder:
        threads.add(threading.current_thread().name)
        return SessionFolder(tmp_path / "clip.amodal")

    autosave = Autosave(open_folder, pause=0.05)
    for step in range(6):
        autosave.offer(session(step))
    assert autosave.close()
    assert threads == {"napari-amodal-save"}
    assert autosave.saved_at is not None and autosave.fault == ""
    folder = SessionFolder(tmp_path / "clip.amodal")  # the lock is free again
    found, faults = folder.load()
    assert not faults and len(found.history.steps) == 6
    folder.close()


def test_offers_are_not_held_up_by_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SessionFolder.save
    saves: list[int] = []

    def slow(self: SessionFolder, given: Session) -> bool:
        time.sleep(0.3)
        saves.append(len(given.history.steps))
        return save(self, given)

    monkeypatch.setattr(SessionFolder, "save", slow)
    autosave = Autosave(lambda: SessionFolder(tmp_path / "clip.amodal"), pause=0.0)
    begun = time.monotonic()
    for step in range(10):
        autosave.offer(session(step))
    assert time.monotonic() - begun < 0.25
    assert autosave.close()
    assert saves[-1] == 10 and len(saves) <= 3  # those between were left out


def test_a_failing_save_is_told_and_the_next_may_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SessionFolder, given: Session) -> bool:
        raise InputError("the session could not be saved: No space left on device")

    save = SessionFolder.save
    monkeypatch.setattr(SessionFolder, "save", refuse)
    autosave = Autosave(lambda: SessionFolder(tmp_path / "clip.amodal"), pause=0.02)
    autosave.offer(session(1))
    until = time.monotonic() + 10
    while not autosave.fault and time.monotonic() < until:
        time.sleep(0.01)
    assert "No space left" in autosave.fault
    monkeypatch.setattr(SessionFolder, "save", save)
    autosave.offer(session(2))
    assert autosave.close()
    assert autosave.fault == "" and look_into(tmp_path / "clip.amodal").steps == 2


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (5, 24, 32, 3), np.uint8)


def written(folder: Path, frames: np.ndarray) -> Path:
    empty = MaskStack.empty(*frames.shape[:3])
    clip = clip_from_array(frames, folder.name)
    write_tabe51(folder, clip, empty, empty, occlusion_of(empty, empty))
    return folder


def test_a_clip_is_known_again_where_it_was_or_beside_its_session(
    tmp_path: Path, frames: np.ndarray
) -> None:
    folder = written(tmp_path / "clip", frames)
    known = reference_to(open_clip(folder))
    assert known.path == str(folder) and known.shape == (5, 24, 32)
    assert find_clip(known, tmp_path / "clip.amodal").source == folder
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    folder.rename(moved / "clip")
    assert find_clip(known, moved / "clip.amodal").source == moved / "clip"
    with pytest.raises(InputError, match="not there any more"):
        find_clip(known, tmp_path / "clip.amodal")
    assert find_clip(known, tmp_path / "clip.amodal", moved / "clip").name == "clip"


def test_another_clip_and_a_changed_one_are_refused(tmp_path: Path, frames: np.ndarray) -> None:
    folder = written(tmp_path / "clip", frames)
    known = reference_to(open_clip(folder))
    longer = written(tmp_path / "longer", np.concatenate([frames, frames]))
    with pytest.raises(InputError, match=r"10 frames of 32x24.*had 5 frames of 32x24"):
        check_is(known, open_clip(longer))
    last = folder / "frames" / "00004.jpg"
    last.write_bytes(last.read_bytes()[:-20] + b"x" * 20)
    with pytest.raises(InputError, match="is not what it was"):
        check_is(known, open_clip(folder))


def test_an_array_is_known_by_its_first_and_last_frame(frames: np.ndarray) -> None:
    known = reference_to(clip_from_array(frames))
    assert known.path is None
    assert fingerprint_of(clip_from_array(frames.copy())) == known.fingerprint
    frames[4, 3, 3] ^= 1
    assert fingerprint_of(clip_from_array(frames)) != known.fingerprint
    with pytest.raises(InputError, match="belongs to the array"):
        find_clip(known, Path("x.amodal"))


def test_sessions_lie_beside_their_clip_and_are_found(
    tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLACE_VARIABLE, "")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "data")
    clip = open_clip(written(tmp_path / "clip", frames))
    known = reference_to(clip)
    kept = [new_session_folder(known) for _ in range(2)]
    assert [one.folder.name for one in kept] == ["clip.amodal", "clip-2.amodal"]
    assert all(one.folder.parent == tmp_path for one in kept)
    work = session(2)
    shape = known.shape
    state, _ = with_new_object(ClipAnnotation(shape))
    work = replace(work, clip=known, history=History.begin(state).done("x", ClipAnnotation(shape)))
    kept[1].save(work)
    remember(kept[1].folder)
    assert [found.folder.name for found in sessions_of(known)] == ["clip-2.amodal"]
    assert is_in_use(kept[1].folder) and unfinished() is None  # somebody works on it
    for one in kept:
        one.close()
    found = unfinished()
    assert found is not None and found.folder == kept[1].folder and found.steps == 1
    again = SessionFolder(kept[1].folder)
    again.save(replace(work, view=MappingProxyType({CLOSED: True})))
    again.close()
    assert unfinished() is None
    assert sessions_of(known)[0].is_closed


@pytest.mark.skipif(os.name != "posix", reason="rights are others there")
def test_where_no_place_can_be_written_to_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(PLACE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match=PLACE_VARIABLE):
        new_session_folder(reference(SHAPE))
