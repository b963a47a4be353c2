"""A batch on this machine, through the installed command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from batch_calls import CLIPS, Paced, is_complete

from napari_amodal.batch.clip_job import ClipJob, Method, complete_clip
from napari_amodal.batch.dataset import find_clips, plan_batch
from napari_amodal.batch.local import environments_for
from napari_amodal.batch.outcome import Status
from napari_amodal.errors import CallError


def test_every_clip_is_completed_and_told_in_a_line(paced: Paced) -> None:
    run = paced.start("--workers", 2)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    lines = out.splitlines()
    assert sorted(line.split()[1] for line in lines[:-1]) == sorted(CLIPS)
    assert lines[-1] == "6 done, 0 skipped, 0 failed"
    assert all(is_complete(paced.out, name) for name in CLIPS)


def test_what_is_done_is_skipped_and_a_failure_is_named_at_the_end(paced: Paced) -> None:
    (paced.dataset / "clip-3/frames/00004.jpg").write_bytes(b"no picture")
    run = paced.start()
    out, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert out.splitlines()[-1] == "5 done, 0 skipped, 1 failed"
    (named,) = err.splitlines()
    assert named.startswith("failed: clip-3: ")
    assert "frames/00004.jpg" in named
    assert "Traceback" not in out + err

    (paced.dataset / "clip-3/frames/00004.jpg").write_bytes(
        (paced.dataset / "clip-2/frames/00004.jpg").read_bytes()
    )
    before = paced.begun()
    run = paced.start("--json")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    told = json.loads(out)
    assert (told["done"], told["skipped"]) == (1, 5)
    assert paced.begun() == [*before, "clip-3"]


def test_a_first_clip_that_cannot_be_opened_costs_no_other(paced: Paced) -> None:
    (paced.dataset / "clip-1/frames/00000.jpg").write_bytes(b"no picture")
    run = paced.start()
    out, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert out.splitlines()[-1] == "5 done, 0 skipped, 1 failed"
    assert err.splitlines()[-1].startswith("failed: clip-1: ")


def test_ctrl_c_stops_and_the_next_call_goes_on(paced: Paced) -> None:
    run = paced.start(pause=0.3)
    assert run.stdout is not None
    run.stdout.readline()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "clips to go" in err
    assert not [path for path in paced.out.iterdir() if ".partial-" in path.name]
    done = {name for name in CLIPS if is_complete(paced.out, name)}
    assert done
    before = len(paced.begun())
    run = paced.start(pause=0.3)
    run.communicate(timeout=120)
    assert run.returncode == 0
    assert sorted(paced.begun()[before:]) == sorted(set(CLIPS) - done)


def test_a_clip_that_kills_its_process_is_tried_twice_and_named(paced: Paced) -> None:
    run = paced.start("--set", "paced.deadly=clip-2")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "failed: clip-2: its process was ended by SIGKILL" in err
    assert out.splitlines()[-1] == "5 done, 0 skipped, 1 failed"
    assert paced.begun().count("clip-2") == 2


def test_a_killed_batch_leaves_no_process(paced: Paced) -> None:
    run = paced.start(pause=2.0)
    deadline = time.monotonic() + 60
    while not paced.begun() and time.monotonic() < deadline:
        time.sleep(0.1)
    run.kill()
    run.communicate()
    worker = int(paced.log.read_text().split()[1])
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}/status").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}/status").exists()


def test_what_another_engine_made_is_not_taken_for_done(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = Method("flow+outline+shape", {}, given=True)
    (first, *_) = plan_batch(dataset, out, given).jobs
    assert complete_clip(first, lambda: False).status is Status.DONE
    assert plan_batch(dataset, out, given).done == ("clip-1",)
    changed = Method("flow+outline+shape", {"shape": {"detail": 128}}, given=True)
    with pytest.raises(CallError, match=r"clip-1 was completed in another way \(shape"):
        plan_batch(dataset, out, changed)
    assert len(plan_batch(dataset, out, changed, overwrite=True).jobs) == len(CLIPS)


def test_a_clip_of_another_set_or_with_another_query_is_not_taken_for_done(
    dataset: Path, tmp_path: Path
) -> None:
    out, method = tmp_path / "out", Method("flow+outline+shape", {}, given=True)
    assert complete_clip(ClipJob(dataset / "clip-1", out, method), bool).status is Status.DONE
    other = tmp_path / "other/clip-1"
    shutil.copytree(dataset / "clip-1", other)
    told = f"the clip was {dataset / 'clip-1'}, not {other}.*: choose another --out"
    with pytest.raises(CallError, match=told):
        plan_batch(other.parent, out, method)

    query = dataset / "clip-1/visible_masks/00000.png"
    before = query.stat()
    query.write_bytes(query.read_bytes())
    with pytest.raises(CallError, match=r"clip-1 has changed since.*remove that folder"):
        plan_batch(dataset, out, method)
    os.utime(query, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert plan_batch(dataset, out, method).done == ("clip-1",)

    file = out / "clip-1/napari-amodal.json"  # as a version wrote it that recorded no inputs
    record = json.loads(file.read_text())
    del record["inputs"]
    file.write_text(json.dumps(record))
    assert plan_batch(other.parent, out, method).done == ("clip-1",)


def test_a_set_of_links_is_completed_under_their_names(dataset: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "one").symlink_to(dataset / "clip-1")
    method = Method("flow+outline+shape", {}, given=True)
    (job,) = plan_batch(links, tmp_path / "out", method).jobs
    assert complete_clip(job, bool).status is Status.DONE
    assert plan_batch(links, tmp_path / "out", method).done == ("one",)


def test_a_set_is_read_in_natural_order_and_never_written_into(dataset: Path) -> None:
    (dataset / ".clip-1.partial-1-x/frames").mkdir(parents=True)
    assert [path.name for path in find_clips(dataset)] == list(CLIPS)
    assert [path.name for path in find_clips(dataset / "clip-2")] == ["clip-2"]
    with pytest.raises(CallError, match="is the set itself"):
        plan_batch(dataset, dataset, Method("draft", {}), overwrite=True)
    with pytest.raises(CallError, match="holds no clip"):
        find_clips(dataset / "clip-2/frames")


def test_a_clip_without_a_mask_fails_in_words(dataset: Path, tmp_path: Path) -> None:
    for mask in (dataset / "clip-1/visible_masks").iterdir():
        mask.unlink()
    job = ClipJob(dataset / "clip-1", tmp_path / "out", Method("draft", {}))
    found = complete_clip(job, lambda: False)
    assert found.status is Status.FAILED
    assert "paint the first one" in found.reason


def test_one_process_unless_the_engine_runs_on_cards() -> None:
    assert environments_for(Method("draft", {})) == ({},)
    assert len(environments_for(Method("draft", {}), workers=2)) == 2
