"""Sessions on the disk: what is written is read, only changes are written, a kill harms nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killed_writer import SHAPE, is_whole, next_state, step_of
from made import histories, reference

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, without_object
from napari_amodal.annotation.history import History
from napari_amodal.annotation.session import Session
from napari_amodal.annotation.session_folder import SessionFolder
from napari_amodal.errors import CallError, InputError

ROUNDS = 25


def session_of(history: History) -> Session:
    return Session(reference(history.state.shape), history, 12.5, {"frame": 3})


def loaded(folder: Path) -> tuple[Session, tuple[str, ...]]:
    kept = SessionFolder(folder)
    try:
        return kept.load()
    finally:
        kept.close()


def saved(folder: Path, steps: int = 3) -> Session:
    """A session of some steps, saved after each."""
    history = History.begin(with_new_object(ClipAnnotation(SHAPE))[0])
    kept = SessionFolder(folder)
    kept.save(session_of(history))
    for step in range(1, steps + 1):
        history = history.done(f"step {step}", next_state(history.state, step))
        kept.save(session_of(history))
    kept.close()
    return session_of(history)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), histories())
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, first: History, second: History
) -> None:
    folder = tmp_path_factory.mktemp("session") / "clip.amodal"
    kept = SessionFolder(folder)
    for history in (first, second, first):  # over another one, too
        assert kept.save(session_of(history))
        assert not kept.save(session_of(history))
        kept.close()
        kept = SessionFolder(folder)
        session, faults = kept.load()
        assert not faults
        assert session == session_of(history)
    kept.close()
    shutil.rmtree(folder)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "clip.amodal"
    session = saved(folder)
    kept = SessionFolder(folder)
    session, _ = kept.load()
    before = files(folder)
    history = session.history.done("one more", next_state(session.state, 4))
    kept.save(session_of(history))
    after = files(folder)
    new = {name for name in after if after[name] != before.get(name)}
    # the state, session.json, and the three blocks of 64 frames that the masks lie in; visible and
    # amodal masks are the same here and share theirs
    assert len([name for name in new if name.startswith("states")]) == 1
    assert 1 <= len([name for name in new if name.startswith("blocks")]) <= 3
    kept.close()


def test_files_of_steps_that_are_gone_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "clip.amodal"
    session = saved(folder)
    kept = SessionFolder(folder)
    kept.save(session_of(History.begin(without_object(session.state, 1))))
    assert len(list((folder / "states").iterdir())) == 1
    assert not list((folder / "blocks").iterdir())
    kept.close()


def test_masks_that_states_share_are_shared_after_loading(tmp_path: Path) -> None:
    saved(tmp_path / "clip.amodal")
    session, _ = loaded(tmp_path / "clip.amodal")
    first, second = (step.state.objects[1].visible.packed for step in session.history.steps[-2:])
    assert sum(one is other for one, other in zip(first, second, strict=True)) > 20


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    kept = SessionFolder(tmp_path / "clip.amodal")
    with pytest.raises(CallError, match="open in another window"):
        SessionFolder(tmp_path / "clip.amodal")
    kept.close()
    SessionFolder(tmp_path / "clip.amodal").close()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"me")
    with pytest.raises(CallError, match="is no session"):
        SessionFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_at_any_moment_leaves_the_last_good_state(tmp_path: Path) -> None:
    folder = tmp_path / "clip.amodal"
    chance = random.Random(20)
    reached = 0
    writer = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None and writer.stdout is not None
    for _ in range(ROUNDS):
        writer.stdin.write("go\n")
        writer.stdin.flush()
        process = int(writer.stdout.readline())
        said = [int(writer.stdout.readline())]  # it is at work
        time.sleep(chance.uniform(0, 0.2))
        os.kill(process, signal.SIGKILL)
        said += [int(line) for line in iter(writer.stdout.readline, "killed\n")]
        session, faults = loaded(folder)
        assert not faults
        assert all(is_whole(step.state) for step in session.history.steps)
        # nothing that was said to be saved is lost; one more may have been on the disk already
        assert said[-1] <= step_of(session.state) <= said[-1] + 1
        assert said[0] >= reached
        reached = step_of(session.state)
    writer.stdin.close()
    writer.wait()
    assert reached > ROUNDS


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_broken_file_is_named_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("broken") / "clip.amodal"
    good = saved(folder)
    broken = data.draw(
        st.sampled_from(sorted(p for p in folder.rglob("0*") if p.is_file())), label="broken"
    )
    content = broken.read_bytes()
    if data.draw(st.booleans(), label="cut"):
        broken.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        changed = bytes([content[at] ^ data.draw(st.integers(1, 255))])
        broken.write_bytes(content[:at] + changed + content[at + 1 :])
    try:
        session, faults = loaded(folder)
    except InputError as error:
        assert broken.name in str(error)
    else:
        assert not faults or any(broken.name in fault for fault in faults)
        by_label = {step.label: step.state for step in good.history.steps}
        if broken.suffix == ".npz":  # a changed block is never taken for a good one
            for step in session.history.steps:
                assert step.state == by_label[step.label]
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("format", "else", '"format" is not'),
        ("format_version", 99, "newer napari-amodal"),
        ("steps", [], "has no state"),
        ("clip", None, '"clip" is not an object'),
        ("position", -1, '"position" is not a whole number'),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: object, told: str) -> None:
    folder = tmp_path / "clip.amodal"
    saved(folder)
    record = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps(record | {field: value}))
    with pytest.raises(InputError, match=told):
        loaded(folder)


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "clip.amodal"
    saved(folder, steps=0)
    record = json.loads((folder / "session.json").read_text())
    record["steps"][0]["state"] = "../../elsewhere.json"
    (folder / "session.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="name of a file"):
        loaded(folder)


def test_a_save_that_fails_says_so_and_harms_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clip.amodal"
    saved(folder)
    kept = SessionFolder(folder)
    session, _ = kept.load()
    more = session_of(session.history.done("more", next_state(session.state, 9)))
    (folder / "blocks").rename(tmp_path / "away")  # a drive that was pulled out
    with pytest.raises(InputError, match="what was saved last is kept"):
        kept.save(more)
    (tmp_path / "away").rename(folder / "blocks")
    assert kept.save(more)  # and goes on once it is back
    kept.close()
    assert loaded(folder)[0].history == more.history


def test_the_format_reads_as_documented(tmp_path: Path) -> None:
    """With numpy and json alone, as docs/session.md shows."""
    folder = tmp_path / "clip.amodal"
    good = saved(folder)
    session = json.loads((folder / "session.json").read_text())
    step = session["steps"][session["position"]]
    state = json.loads((folder / "states" / step["state"]).read_text())
    frames, height, width = state["shape"]
    for name in ("visible", "amodal"):
        masks = np.zeros((frames, height, width), bool)
        for number, block in enumerate(state["objects"][0][name]):
            if block is None:
                continue
            stored = np.load(folder / "blocks" / block)
            at = 0
            for frame, (y0, x0, y1, x1) in enumerate(stored["boxes"], 64 * number):
                size = (y1 - y0) * (x1 - x0)
                bits = np.unpackbits(stored["bits"][at : at + (size + 7) // 8], count=size)
                masks[frame, y0:y1, x0:x1] = bits.reshape(y1 - y0, x1 - x0)
                at += (size + 7) // 8
        assert np.array_equal(masks, getattr(good.state.objects[1], name))
