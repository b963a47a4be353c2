"""The engine list: what an engine lacks as it is set, and the weights dialog from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_amodal import readiness
from napari_amodal.widgets.completion_widget import CompletionWidget
from weights.hub import network

from .driving import choose_engine

Open = Callable[[], CompletionWidget]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and the networks' packages as if they were here."""
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(readiness, "find_spec", lambda name: name)
    return tmp_path / "store"


def write_sam(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam2_video"}')
    (folder / "model.safetensors").write_bytes(network())
    return folder


def with_query(open_widget: Open, frames: np.ndarray, qtbot: Any) -> CompletionWidget:
    widget = open_widget()
    widget.model.viewer.add_image(frames)
    qtbot.waitUntil(lambda: widget.model.stack is not None)
    widget.new_query.click()
    return widget


def test_weights_are_got_from_the_engine_list(
    open_widget: Open,
    frames: np.ndarray,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widget = with_query(open_widget, frames, qtbot)
    picker = widget.engines
    assert not picker.weights_button.isVisibleTo(widget)  # the draft needs none
    picker.choose("sam2-draft")
    assert picker.list.currentText() == "sam2-draft (incomplete)"
    assert "the weights sam2.1-large" in picker.note.text()
    assert "napari-amodal weights fetch sam2.1-large" in picker.note.toolTip()
    assert not widget.run_button.isEnabled()

    qtbot.mouseClick(picker.weights_button, Qt.MouseButton.LeftButton)
    dialog = picker._dialog
    assert dialog is not None and dialog.isVisible() and dialog.chosen.name == "sam2.1-large"
    own = write_sam(tmp_path / "own")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(own))
    dialog.import_button.menu().actions()[0].trigger()
    qtbot.waitUntil(lambda: widget.run_button.isEnabled(), timeout=10_000)
    assert picker.list.currentText() == "sam2-draft"
    assert not picker.weights_button.isVisibleTo(widget)

    dialog.close()
    qtbot.waitUntil(lambda: picker._dialog is None)
    picker.open_weights()
    assert picker._dialog is not None and not picker._dialog.is_busy


def test_another_network_may_be_here(
    open_widget: Open, frames: np.ndarray, qtbot: Any, store: Path
) -> None:
    write_sam(store / "sam2.1-tiny")
    widget = with_query(open_widget, frames, qtbot)
    widget.engines.choose("sam2-draft")
    assert not widget.run_button.isEnabled()
    choose_engine(widget, "sam2-draft (incomplete)", size="tiny")
    assert widget.run_button.isEnabled() and widget.engines.list.currentText() == "sam2-draft"
    choose_engine(widget, "sam2-draft", size="large")
    assert not widget.run_button.isEnabled()


def test_weights_that_came_by_the_command_line_are_seen(
    open_widget: Open, frames: np.ndarray, qtbot: Any, store: Path
) -> None:
    widget = with_query(open_widget, frames, qtbot)
    widget.engines.choose("sam2-draft")
    write_sam(store / "sam2.1-large")
    widget.enterEvent(None)  # the mouse comes back to the panel
    assert widget.run_button.isEnabled()


def test_a_clip_with_depth_needs_no_depth_network(
    open_widget: Open, qtbot: Any, tmp_path: Path
) -> None:
    widget = open_widget()
    widget.engines.choose("tabe")
    assert "depth-anything-v2-base" in widget.engines.note.text()
    for name in ("frames", "depth"):
        (tmp_path / "clip" / name).mkdir(parents=True)
        for frame in range(2):
            mode = "RGB" if name == "frames" else "L"
            Image.new(mode, (16, 12), 9).save(tmp_path / "clip" / name / f"{frame:05d}.png")
    widget.model.viewer.open(tmp_path / "clip", plugin="napari-amodal")
    qtbot.waitUntil(lambda: widget.model.stack is not None)
    assert "depth-anything-v2-base" not in widget.engines.note.text()
    assert "cococo" in widget.engines.note.text()


def test_the_device_is_asked_for_once(open_widget: Open) -> None:
    widget = open_widget()
    widget.engines.choose("tabe")
    form = widget.engines.form
    assert form is not None
    fields = {widget for (_, name), (_, widget) in form._values.items() if name == "device"}
    (field,) = fields
    assert field.choices == ("auto", "cuda", "mps", "cpu")
    field.value = "cpu"
    assert form.overrides() == {name: {"device": "cpu"} for name in ("sam2", "depth", "cococo")}
    assert "1 changed" in widget.engines.settings_button.text()
