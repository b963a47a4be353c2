"""Nothing is lost: autosave, kill -9, opening again by offer, drag and drop, command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_amodal.annotation.session_folder import SessionFolder, is_session
from napari_amodal.annotation.session_search import look_into
from napari_amodal.cli import app
from napari_amodal.clip import clip_from_array
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.completion_widget import CompletionWidget

from .driving import SECONDS_30, choose_engine, mask, paint_square, run_to_its_end

Open = Callable[[], CompletionWidget]
KILLED = Path(__file__).with_name("killed_napari.py")
#: Work of so many seconds before a kill may be lost.
MAY_BE_LOST = 4.0


def wait_until_saved(qtbot: Any, widget: CompletionWidget, since: float) -> None:
    def is_saved() -> bool:
        autosave = widget.model.session._autosave
        at = None if autosave is None else autosave.saved_at
        return at is not None and at.timestamp() > since

    qtbot.waitUntil(is_saved, timeout=SECONDS_30)


def worked_on(open_widget: Open, frames: np.ndarray, qtbot: Any) -> CompletionWidget:
    """A panel with a run of which one frame was corrected, all of it saved."""
    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    widget.frames.refresh()
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 2)
    choose_engine(widget, "still", pause=0.01)
    run_to_its_end(qtbot, widget)
    paint_square(widget.model.viewer.layers["amodal"], 5, corner=(30, 40))
    qtbot.waitUntil(lambda: widget.model.annotation.objects[1].locked == {5})
    wait_until_saved(qtbot, widget, time.time())
    return widget


def test_work_is_saved_by_itself_and_goes_on_later(
    open_widget: Open, frames: np.ndarray, qtbot: Any, sessions: Path
) -> None:
    first = worked_on(open_widget, frames, qtbot)
    assert first.saved.text().startswith("Saved") and "clip.amodal" in first.saved.text()
    corrected = mask(first.model.viewer.layers["amodal"], 5)
    first.model.viewer.layers.clear()  # the clip is closed

    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    qtbot.waitUntil(lambda: not widget.offer.isHidden(), timeout=SECONDS_30)
    assert "There is work on this clip: 3 steps" in widget.offer.text.text()
    widget.offer.go_on.click()
    layers = widget.model.viewer.layers
    qtbot.waitUntil(lambda: "visible" in layers and "amodal" in layers, timeout=SECONDS_30)
    qtbot.waitUntil(lambda: widget.model.layers.is_up_to_date)
    assert (mask(layers["amodal"], 5) == corrected).all()
    assert mask(layers["query"], 2).any() and widget.model.query is layers["query"]
    assert widget.engines.choice.name == "still"
    assert widget.engines.settings == {"still": {"pause": 0.01}}
    annotation = widget.model.annotation
    assert annotation.objects[1].locked == {5}
    assert annotation.undo_label == "Paint amodal, frame 5"
    before = time.time()
    annotation.undo()
    qtbot.waitUntil(lambda: not mask(layers["amodal"], 5)[30:, 40:].any())
    assert widget.offer.isHidden()
    wait_until_saved(qtbot, widget, before)
    assert [path.name for path in sessions.glob("*.amodal")] == ["clip.amodal"]  # the same one


def test_an_offer_that_is_declined_stays_where_it_is(
    open_widget: Open, frames: np.ndarray, qtbot: Any, sessions: Path
) -> None:
    worked_on(open_widget, frames, qtbot).model.viewer.layers.clear()
    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    qtbot.waitUntil(lambda: not widget.offer.isHidden(), timeout=SECONDS_30)
    widget.offer.not_now.click()
    assert widget.offer.isHidden()
    widget.new_query.click()
    assert widget.model.query is not None
    before = time.time()
    paint_square(widget.model.query, 0)
    wait_until_saved(qtbot, widget, before)
    assert look_into(sessions / "clip.amodal").steps == 3
    assert look_into(sessions / "clip-2.amodal").steps == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip folder of 60 frames with masks."""
    frames = np.random.default_rng(5).integers(0, 255, (60, 48, 64, 3), np.uint8)
    masks = np.zeros((60, 48, 64), np.bool_)
    masks[:, 20:40, 30:50] = True
    stack = MaskStack.from_array(masks)
    clip = clip_from_array(frames, "given")
    write_tabe51(tmp_path / "given", clip, stack, stack, occlusion_of(stack, stack))
    return tmp_path / "given"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_napari_loses_a_few_seconds_at_most(
    open_widget: Open, folder: Path, qtbot: Any
) -> None:
    painter = subprocess.Popen(
        [sys.executable, str(KILLED), str(folder)], stdout=subprocess.PIPE, text=True
    )
    painted: list[tuple[int, float]] = []
    assert painter.stdout is not None
    for line in painter.stdout:
        painted.append((int(line), time.monotonic()))
        if len(painted) == 32:
            break
    os.kill(painter.pid, signal.SIGKILL)
    killed = time.monotonic()
    painter.wait()

    widget = open_widget()  # nothing is open yet: the work that was not closed is offered
    qtbot.waitUntil(lambda: not widget.offer.isHidden(), timeout=SECONDS_30)
    assert "napari ended in the middle of work on <b>given</b>" in widget.offer.text.text()
    widget.offer.go_on.click()
    annotation = widget.model.annotation
    qtbot.waitUntil(lambda: bool(annotation.objects), timeout=SECONDS_30)
    qtbot.waitUntil(lambda: widget.model.layers.is_up_to_date)
    safe = {frame for frame, at in painted if at < killed - MAY_BE_LOST}
    assert len(safe) > 8
    assert safe <= annotation.objects[1].locked <= {frame for frame, _ in painted}
    assert [layer.name for layer in widget.model.viewer.layers] == ["given", "amodal", "visible"]
    layer = widget.model.viewer.layers["amodal"]
    assert all(mask(layer, frame)[6, 6] for frame in safe)
    assert not mask(layer, 50)[6, 6]


def test_a_session_opens_like_a_file(
    open_widget: Open, make_napari_viewer: Any, folder: Path, qtbot: Any, sessions: Path
) -> None:
    first = open_widget()
    _, amodal, _ = first.model.viewer.open(folder, plugin="napari-amodal")
    qtbot.waitUntil(lambda: bool(first.model.layers.layers))
    before = time.time()
    paint_square(amodal, 7, corner=(0, 0))
    wait_until_saved(qtbot, first, before)
    first.model.viewer.close()

    viewer = make_napari_viewer()
    (image,) = viewer.open(sessions / "given.amodal", plugin="napari-amodal")
    assert image.name == "given"
    qtbot.waitUntil(lambda: "amodal" in viewer.layers, timeout=SECONDS_30)
    qtbot.waitUntil(lambda: bool(mask(viewer.layers["amodal"], 7)[2, 2]))
    assert mask(viewer.layers["visible"], 50).any()


def test_a_session_in_use_and_a_broken_one_are_said(
    open_widget: Open, folder: Path, qtbot: Any, sessions: Path, said: Callable[[], list[str]]
) -> None:
    broken = sessions / "broken.amodal"
    broken.mkdir()
    (broken / "session.json").write_text("{}")
    assert is_session(broken)
    widget = open_widget()
    with pytest.raises(ValueError, match="is not an object"):
        widget.model.viewer.open(broken, plugin="napari-amodal")
    assert "session.json" in said()[0]


def test_the_command_opens_napari_with_the_panel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 0)
    result = CliRunner().invoke(app, ["open", str(tmp_path)])
    assert result.exit_code == 0
    assert called[0][1:] == [
        "-m",
        "napari",
        str(tmp_path),
        "--plugin",
        "napari-amodal",
        "--with",
        "napari-amodal",
        "Amodal completion",
    ]
    assert CliRunner().invoke(app, ["open", str(tmp_path / "none")]).exit_code == 2
    kept = SessionFolder(tmp_path / "x.amodal")
    kept.close()
