"""The panel *Compose a clip* in a real viewer, from videos and folders to a clip folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_amodal.clip import clip_from_array
from napari_amodal.compose.compose_job import ComposeJob, compose_clip, is_composed
from napari_amodal.compose.description import read_description
from napari_amodal.formats.tabe51 import read_tabe51, write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.composing.compose_widget import ComposeWidget
from napari_amodal.widgets.composing.composition_view import View
from still_engine import StillTracker

from .driving import _mouse, brush, paint_square

HEIGHT, WIDTH, FRAMES = 48, 64, 8


@pytest.fixture
def panel(make_napari_viewer: Any, still_engine: None) -> ComposeWidget:
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Compose a clip")
    assert isinstance(widget, ComposeWidget)
    return widget


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    """A clip folder of an object with nothing before it: it brings its masks."""
    pixels = np.full((FRAMES, HEIGHT, WIDTH, 3), 90, np.uint8)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    masks[:, 14:34, 22:42] = True
    pixels[masks] = (230, 40, 40)
    stack = MaskStack.from_array(masks)
    clip = clip_from_array(pixels, "ball")
    write_tabe51(tmp_path / "ball", clip, stack, stack, occlusion_of(stack, stack))
    return tmp_path / "ball"


@pytest.fixture
def passing(tmp_path: Path) -> Path:
    """A video of an occluder, 16 frames at 12 a second, without masks."""
    path = tmp_path / "passing.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for at in range(16):
            picture = np.full((HEIGHT, WIDTH, 3), 20 + at, np.uint8)
            picture[10:26, 8:24] = (20, 200, 60)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def wait(qtbot: Any, panel: ComposeWidget) -> None:
    qtbot.waitUntil(lambda: not panel.model.is_busy, timeout=60_000)


def add(qtbot: Any, panel: ComposeWidget, source: Path) -> None:
    panel.model.add(source)
    wait(qtbot, panel)


def layer(panel: ComposeWidget, name: str) -> Any:
    return panel.model.shown.viewer.layers[name]


def composed_panel(qtbot: Any, panel: ComposeWidget, ball: Path, passing: Path) -> None:
    """The object, and an occluder that was painted on one frame and tracked."""
    add(qtbot, panel, ball)
    add(qtbot, panel, passing)
    panel.form.fps.setValue(6)
    paint_square(layer(panel, "masks of passing"), 4, corner=(10, 8))
    panel.tracker.setCurrentText("still")
    panel.track_button.click()
    wait(qtbot, panel)


def test_from_sources_to_a_clip_folder_and_back(
    qtbot: Any, panel: ComposeWidget, ball: Path, passing: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    composed_panel(qtbot, panel, ball, passing)
    model = panel.model
    assert "16 frames, 12 a second; 8 are taken, masks on 8 of them" in panel.masks.text()
    assert model.chosen is not None
    assert model.chosen.filled == set(range(15)), "from the first to the last that is taken"

    # Align it in time and space: it comes in at frame 2, and goes from left to right.
    panel.form.begin.setValue(2)
    panel.form.pause_to_end.setChecked(True)
    panel.view_buttons[View.OVERLAP].click()
    shown = layer(panel, "passing (overlap)")
    assert shown.data.shape == (FRAMES, HEIGHT, WIDTH, 4)
    assert not np.asarray(shown.data[1]).any(), "it is not there yet"
    assert set(np.unique(np.asarray(shown.data[2])[..., 3])) == {90, 255}
    model.shown.go_to(2)
    panel.numbers.add.click()
    model.shown.go_to(6)
    panel.numbers.right_spin.setValue(30)
    panel.numbers.scale_spin.setValue(1.5)
    assert model.chosen.table["position"] == [[2, 0.0, 0.0], [6, 0.0, 30.0]]
    assert model.chosen.key_frames() == (2, 6)
    model.shown.go_to(4)
    assert panel.numbers.right_spin.value() == 15
    middle = shown.data_to_world((4, (HEIGHT - 1) / 2, (WIDTH - 1) / 2))
    assert middle[1:] == pytest.approx(((HEIGHT - 1) / 2, (WIDTH - 1) / 2 + 15))

    panel.view_buttons[View.PREVIEW].click()
    wait(qtbot, panel)
    visible, amodal = layer(panel, "visible").data, layer(panel, "amodal").data
    truth = read_tabe51(ball).amodal
    assert all((np.asarray(amodal[f] != 0) == truth[f]).all() for f in range(FRAMES))
    assert (visible[0] == amodal[0]).all()
    assert (visible[5] != 0).sum() < (amodal[5] != 0).sum()

    assert "Save first" in panel.write_button.toolTip()
    file, out = tmp_path / "set.json", tmp_path / "out"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(file), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(out))
    panel.save_button.click()
    wait(qtbot, panel)
    panel.write_button.click()
    wait(qtbot, panel)
    assert panel.status.text().startswith(str(out / "ball")), panel.status.text()
    back = read_tabe51(out / "ball")
    assert all((back.visible[f] == (visible[f] != 0)).all() for f in range(FRAMES))
    assert all((back.amodal[f] == truth[f]).all() for f in range(FRAMES))

    # The command takes the clip for done, and makes the same of the description.
    (described,) = read_description(file)
    assert described.what["object"]["source"] == "ball"
    assert described.what["occluder"][0]["masks"] == "masks/ball-occluder1.tif"
    assert is_composed(ComposeJob(described, out))
    assert not compose_clip(ComposeJob(described, tmp_path / "again"), bool).reason
    again = read_tabe51(tmp_path / "again/ball")
    assert all((again.visible[f] == back.visible[f]).all() for f in range(FRAMES))

    # Opened again, nothing is lost.
    tables = [dict(part.table) for part in model.parts]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(file), ""))
    panel.open_button.click()
    wait(qtbot, panel)
    assert [part.table for part in model.parts] == tables
    assert model.parts[1].filled == set(range(15))
    assert model.shown.view is View.OVERLAP
    assert panel.write_button.isEnabled()


def test_dragging_moves_the_chosen_occluder(qtbot: Any, panel: ComposeWidget, ball: Path) -> None:
    add(qtbot, panel, ball)
    add(qtbot, panel, ball)
    panel.view_buttons[View.OVERLAP].click()
    viewer, model = panel.model.shown.viewer, panel.model
    shown = viewer.layers[-1]
    assert viewer.layers.selection.active is shown
    way = [(0.0, 20.0, 20.0), (0.0, 24.0, 30.0), (0.0, 25.0, 32.0)]
    drag_layer(viewer, shown, way)
    assert model.chosen is model.parts[1]
    assert model.chosen.table["position"] == pytest.approx([5.0, 12.0])
    assert panel.numbers.down_spin.value() == 5
    assert shown.translate[1:] == pytest.approx((5, 12))


def drag_layer(viewer: Any, shown: Any, positions: list[tuple[float, ...]]) -> None:
    mouse_press_callbacks(shown, _mouse("mouse_press", viewer, positions[0]))
    for position in positions[1:]:
        mouse_move_callbacks(shown, _mouse("mouse_move", viewer, position))
    mouse_release_callbacks(shown, _mouse("mouse_release", viewer, positions[-1]))


def test_a_painted_mask_stays_when_it_is_tracked_again(
    qtbot: Any, panel: ComposeWidget, ball: Path, passing: Path
) -> None:
    composed_panel(qtbot, panel, ball, passing)
    model = panel.model
    assert model.chosen is not None
    labels = layer(panel, "masks of passing")
    brush(model.shown.viewer, labels, [(9, 40, 40), (9, 40, 50)])
    corrected = labels.data[9].copy()
    assert sorted(model.chosen.painted()) == [4, 9]
    panel.track_button.click()
    wait(qtbot, panel)
    assert (labels.data[9] == corrected).all()
    assert (labels.data[12] != 0).any()
    assert ((labels.data[12] != 0) == (corrected != 0)).all(), "the nearest painted frame"


def test_what_is_painted_while_it_is_tracked_stays(
    qtbot: Any, panel: ComposeWidget, passing: Path, monkeypatch: Any
) -> None:
    add(qtbot, panel, passing)
    labels = layer(panel, "masks of passing")
    panel.model.shown.go_to(4)
    paint_square(labels, 4)
    monkeypatch.setattr(StillTracker, "_rest", lambda self, s, watch: _sleep(watch, 0.05))
    panel.tracker.setCurrentText("still")
    panel.track_button.click()
    brush(panel.model.shown.viewer, labels, [(9, 40, 40), (9, 40, 50)])
    meanwhile = labels.data[9].copy()
    assert panel.model.is_busy
    wait(qtbot, panel)
    assert meanwhile.any()
    assert (labels.data[9] == meanwhile).all()
    assert (labels.data[8] == labels.data[4]).all()


def test_what_is_lacking_or_wrong_is_told(
    qtbot: Any, panel: ComposeWidget, ball: Path, passing: Path, said: Any
) -> None:
    assert panel.status.text().startswith("Add the object")
    panel.model.add(ball.parent / "nothing.mp4")
    wait(qtbot, panel)
    assert "nothing.mp4" in said()[-1]
    add(qtbot, panel, passing)
    assert "press Track" in panel.status.text()
    panel.track_button.click()
    wait(qtbot, panel)
    assert "nothing is painted of passing" in said()[-1]
    panel.view_buttons[View.PREVIEW].click()
    wait(qtbot, panel)
    assert "passing has no masks" in said()[-1]
    panel.form.first.setValue(9)
    panel.form.last.setValue(4)
    assert "frames 9 to 4 are not all there" in panel.masks.text()
    panel.view_buttons[View.OVERLAP].click()
    assert "frames 9 to 4" in panel.status.text()
    panel.remove_button.click()
    assert not panel.model.parts
    assert not panel.model.shown.viewer.layers


def test_cancelling_leaves_everything_as_it_was(
    qtbot: Any, panel: ComposeWidget, ball: Path, passing: Path, monkeypatch: Any
) -> None:
    add(qtbot, panel, passing)
    panel.model.shown.go_to(4)
    paint_square(layer(panel, "masks of passing"), 4)
    assert panel.model.chosen is not None
    monkeypatch.setattr(StillTracker, "_rest", lambda self, s, watch: _sleep(watch, 0.2))
    panel.tracker.setCurrentText("still")
    panel.track_button.click()
    qtbot.waitUntil(lambda: "Standing still" in panel.status.text(), timeout=30_000)
    panel.cancel_button.click()
    qtbot.waitUntil(lambda: not panel.model.is_busy, timeout=3_000)
    assert panel.status.text() == "Cancelled"
    assert panel.model.chosen.filled == {4}
    assert not panel.model.chosen.tracked


def _sleep(watch: Any, seconds: float) -> None:
    time.sleep(seconds)
    watch.check()


def test_saving_keeps_the_other_clips_of_a_description(
    qtbot: Any, panel: ComposeWidget, ball: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / "set.json"
    other = {"name": "other", "object": {"source": "ball"}, "copies": 3}
    file.write_text(json.dumps({"seed": 7, "clip": [other]}))
    add(qtbot, panel, ball)
    panel.model.save(file)
    wait(qtbot, panel)
    told = json.loads(file.read_text())
    assert told["seed"] == 7
    assert told["clip"][0] == other
    assert told["clip"][1] == {"name": "ball", "object": {"source": "ball"}, "occluder": []}
    assert not (tmp_path / "masks").exists(), "the clip folder brings its own"

    panel.model.file = None  # another session: what is there is replaced only when agreed
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(file), ""))
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: QMessageBox.StandardButton.No)
    panel.form.reverse.setChecked(True)
    panel.save_button.click()
    wait(qtbot, panel)
    assert "reverse" not in file.read_text()
