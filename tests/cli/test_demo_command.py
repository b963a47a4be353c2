"""`napari-amodal demo`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_calls import assert_refused, call, call_installed


def test_demo_from_scratch_and_again(tmp_path: Path) -> None:
    out = tmp_path / "amodal-demo"
    first = call_installed("demo", "--out", out)
    assert first.returncode == 0, first.stderr
    expected = ["completed", "contact-sheet.png", "side-by-side.mp4", "truth"]
    assert sorted(path.name for path in out.iterdir()) == expected
    for name in ("side-by-side.mp4", "contact-sheet.png", "completed/coffee", "truth/coffee"):
        assert str(out / name) in first.stdout
    row = next(line for line in first.stdout.splitlines() if line.startswith("coffee"))
    amodal, *_, visible = map(float, row.split()[1:])
    assert amodal > 0.7
    assert visible > 0.7
    assert_video(out / "side-by-side.mp4", frames=64)
    again = json.loads(call("evaluate", out / "completed", out / "truth", "--json").stdout)
    assert again["mean"]["mIOU"] == pytest.approx(amodal, abs=1e-4)


def assert_video(path: Path, frames: int) -> None:
    import av

    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == frames
    third = pictures[0].shape[1] // 3
    seen, visible = pictures[0][:, :third], pictures[0][:, third : 2 * third]
    assert np.abs(seen.astype(int) - visible).mean() > 1  # the mask is drawn


def test_demo_replaces_nothing_but_a_demo(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = call("demo", "--out", tmp_path)
    assert_refused(done, 2, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
