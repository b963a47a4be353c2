"""Our keys: all in the manifest, free of napari's own, and at work in a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
from app_model.types import KeyBinding
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton

from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.keys import our_keys, sheet

from .driving import paint_square, wait_until_idle


def plain(key: str) -> str:
    """A key in one writing, whoever wrote it."""
    return str(QKeySequence(key).toString())


def test_no_key_of_ours_is_one_of_naparis(open_widget: Any) -> None:
    widget: CompletionWidget = open_widget()
    window = widget.model.viewer.window
    taken = {
        plain(str(KeyBinding.validate(binding)).replace("Meta", "Ctrl"))
        for bindings in default_shortcuts.values()
        for binding in bindings
    }
    ours = {plain(key.key) for key in our_keys()}
    for action in window._qt_window.findChildren(type(window.file_menu.actions()[0])):
        taken |= {shortcut.toString() for shortcut in action.shortcuts()}
    assert len(ours) == len(our_keys()), "each key is there once"
    assert len(taken) > 40, "napari's keys were found"
    assert not ours & taken


def test_no_other_key_is_bound_than_those_of_the_manifest(open_widget: Any) -> None:
    widget: CompletionWidget = open_widget()
    ours = {plain(key.key) for key in our_keys()}
    bound = {shortcut.key().toString() for shortcut in widget.around.keys.shortcuts}
    buttons = {
        button.shortcut().toString()
        for button in widget.findChildren(QAbstractButton)
        if not button.shortcut().isEmpty()
    }
    assert bound == ours and not buttons


def test_every_key_is_on_the_sheet_and_those_with_a_button_in_its_tooltip(
    qtbot: Any, open_widget: Any, frames: np.ndarray
) -> None:
    widget: CompletionWidget = open_widget()
    for key in our_keys():
        assert key.key in sheet() and key.title in sheet()
    tips = {
        "click_object": widget.around.prompts.point,
        "fill_holes": widget.around.tools_box.fill,
        "interpolate": widget.around.tools_box.interpolate,
    }
    keys = {key.command.rpartition(".")[2]: key.key for key in our_keys()}
    for command, button in tips.items():
        assert f"({keys[command]})" in button.toolTip()


def test_keys_run_undo_and_show_the_sheet(qtbot: Any, open_widget: Any, frames: np.ndarray) -> None:
    widget: CompletionWidget = open_widget()
    viewer = widget.model.viewer
    viewer.window.show()
    qtbot.waitExposed(viewer.window._qt_window)
    viewer.window._qt_window.activateWindow()
    viewer.add_image(frames, name="clip", rgb=True)
    widget.frames.refresh()
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 0)
    shortcuts = dict(
        zip((key.command for key in our_keys()), widget.around.keys.shortcuts, strict=True)
    )
    shortcuts["napari-amodal.run"].activated.emit()
    assert widget.model.is_busy
    wait_until_idle(qtbot, widget)
    shortcuts["napari-amodal.paint_amodal"].activated.emit()
    assert viewer.layers.selection.active.name == "amodal"
    shortcuts["napari-amodal.lock"].activated.emit()
    annotation = widget.model.annotation
    assert annotation.objects[1].locked == {widget.model.frame}
    shortcuts["napari-amodal.undo"].activated.emit()
    assert not annotation.objects[1].locked
    shortcuts["napari-amodal.redo"].activated.emit()
    assert annotation.objects[1].locked
    qtbot.keyClick(
        viewer.window._qt_window,
        Qt.Key.Key_K,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    qtbot.waitUntil(lambda: widget.around.keys.is_sheet_shown)
