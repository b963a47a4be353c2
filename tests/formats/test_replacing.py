"""A kill or a full disk in the middle of writing: the old folder, or the new one, whole."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from writer import FRAMES, clip_of, write

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats import replacing
from napari_amodal.formats.replacing import whole_folder
from napari_amodal.formats.tabe51 import full_stack, read_tabe51

OURS = frozenset({"a", "b"})


def version_of(folder: Path) -> int:
    """Which version a folder holds; fails where it is not that version from end to end."""
    found = read_tabe51(folder)
    assert found.provenance is not None
    version = int(found.provenance["version"])
    clip, masks = clip_of(version)
    assert len(found.clip) == FRAMES
    assert all(abs(int(f.max()) - version % 200) <= 3 for f in found.clip)
    assert full_stack(found.visible, clip, "visible_masks") == masks
    assert full_stack(found.amodal, clip, "gt_masks") == masks
    assert found.occlusion is not None
    return version


def test_a_kill_at_any_moment_leaves_a_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    write(folder, 0)
    (folder / "notes.txt").write_text("mine")
    moments = random.Random(0)
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(10):
            before = version_of(folder)
            writer.stdin.write("again\n")
            process = int(writer.stdout.readline())
            time.sleep(moments.uniform(0, 0.3))
            os.kill(process, signal.SIGKILL)
            lines = iter(writer.stdout.readline, "killed\n")
            written = max((int(line) for line in lines), default=0)
            assert version_of(folder) in (written or before, written + 1)
        writer.stdin.close()
    write(folder, 7)  # finds what was left, and clears it away
    assert version_of(folder) == 7
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_changes_nothing(small_disk: Path) -> None:
    write(small_disk / "clip", 1)
    (small_disk / "ballast").write_bytes(bytes(1_850_000))
    with pytest.raises(InputError, match=r"clip could not be written: No space left.*free some"):
        write(small_disk / "clip", 2)
    assert version_of(small_disk / "clip") == 1
    with pytest.raises(InputError, match=r"other could not be written: No space left"):
        write(small_disk / "other", 2)
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "clip"]
    (small_disk / "ballast").unlink()
    write(small_disk / "clip", 2)
    assert version_of(small_disk / "clip") == 2


def test_a_full_disk_without_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "clip", 1)
    real, calls = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device; nothing was changed"):
        write(tmp_path / "clip", 2)
    monkeypatch.undo()
    assert version_of(tmp_path / "clip") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def put(folder: Path, text: str) -> None:
    how = {"overwrite": True, "replaceable": lambda path: True, "ours": OURS}
    with whole_folder(folder, **how) as new:
        (new / "a").write_text(text)


@pytest.mark.parametrize("exchanges", [True, False])
def test_replacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    if not exchanges:
        monkeypatch.setattr(replacing, "_exchange", lambda first, second: False)
    put(tmp_path / "x", "old")
    (tmp_path / "x" / "b").write_text("ours, and not written again")
    (tmp_path / "x" / "mine").write_text("mine")
    put(tmp_path / "x", "new")
    assert (tmp_path / "x" / "a").read_text() == "new"
    assert not (tmp_path / "x" / "b").exists()
    assert (tmp_path / "x" / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_linux_exchanges_in_one_step(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("Linux only")
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert replacing._exchange(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "x" / "y").exists()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_left_aside_goes_back_to_its_place(tmp_path: Path) -> None:
    # Killed between the two renames of a system that cannot exchange.
    old = tmp_path / f".x.replaced-{dead_process()}-abc"
    put(old, "old")
    (tmp_path / f".x.partial-{dead_process()}-abc").mkdir()
    with (
        pytest.raises(RuntimeError),
        whole_folder(tmp_path / "x", overwrite=True, replaceable=lambda path: True, ours=OURS),
    ):
        raise RuntimeError("the new one fails")
    assert (tmp_path / "x" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_others_are_writing_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / f".x.partial-{os.getppid()}-abc"
    theirs.mkdir()
    (tmp_path / ".x.partial-notes").mkdir()
    (tmp_path / ".xy.partial-1-abc").mkdir()
    put(tmp_path / "x", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [".x.partial-notes", theirs.name, ".xy.partial-1-abc", "x"]
    )


def test_a_folder_where_nothing_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        put(tmp_path / "file" / "x", "new")
    with pytest.raises(InputError, match="could not be written: File name too long"):
        put(tmp_path / ("x" * 250), "new")


def test_nothing_is_asked_of_a_folder_that_may_not_be_replaced(tmp_path: Path) -> None:
    put(tmp_path / "x", "old")
    with (
        pytest.raises(CallError, match="is there already"),
        whole_folder(tmp_path / "x", overwrite=False, replaceable=lambda path: True, ours=OURS),
    ):
        pytest.fail("entered")
    assert (tmp_path / "x" / "a").read_text() == "old"
