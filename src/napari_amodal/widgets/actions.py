"""What the keys do: one function a command of the manifest, for the viewer it is pressed in."""

from __future__ import annotations

from typing import cast

from napari import Viewer
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QAbstractButton

from napari_amodal.annotation.worth import next_worst
from napari_amodal.widgets.completion_model import model_of
from napari_amodal.widgets.completion_widget import CompletionWidget


def _panel(viewer: Viewer) -> CompletionWidget | None:
    """The open panel; without one the person is told."""
    model = model_of(viewer)
    if model is None:
        show_info("Open the panel first: Plugins > Amodal completion")
        return None
    return cast(CompletionWidget, model.parent())


def _press(button: QAbstractButton) -> None:
    """Press a button, or say why it cannot be pressed."""
    if button.isEnabled():
        button.click()
    elif button.toolTip():
        show_info(button.toolTip())


def run(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.run_button)


def cancel(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        tools = panel.around.tools_box.cancel
        _press(tools if tools.isEnabled() else panel.cancel_button)


def export(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.export_button)


def update(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.corrections.update_button)


def lock(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.corrections.lock)


def undo(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.corrections.undo)


def redo(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.corrections.redo)


def click_object(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.prompts.point)


def next_worth_a_look(viewer: Viewer) -> None:
    _go_to_worst(viewer, back=False)


def last_worth_a_look(viewer: Viewer) -> None:
    _go_to_worst(viewer, back=True)


def _go_to_worst(viewer: Viewer, *, back: bool) -> None:
    panel = _panel(viewer)
    if panel is None:
        return
    facts = panel.around.facts.facts.get(panel.model.annotation.current or 0)
    frame = None if facts is None else next_worst(facts.worth, panel.model.frame, back=back)
    if frame is None:
        show_info("No frame of this object is worth a look: the tracker was sure of all")
    else:
        panel.model.go_to(frame)


def next_object(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        annotation = panel.model.annotation
        ids = list(annotation.objects)
        if ids:
            at = ids.index(annotation.current) if annotation.current in ids else -1
            annotation.current = ids[(at + 1) % len(ids)]


def next_hypothesis(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        panel.around.tools.step(1, panel.around.tools_box.picked_frames)


def last_hypothesis(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        panel.around.tools.step(-1, panel.around.tools_box.picked_frames)


def show_disagreement(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.divided)


def interpolate(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.interpolate)


def copy_to_frames(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.copy)


def fill_holes(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.fill)


def smooth(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.smooth)


def drop_specks(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        _press(panel.around.tools_box.specks)


def paint_visible(viewer: Viewer) -> None:
    _paint(viewer, "visible")


def paint_amodal(viewer: Viewer) -> None:
    _paint(viewer, "amodal")


def _paint(viewer: Viewer, role: str) -> None:
    """Take the brush to a layer of the current object."""
    panel = _panel(viewer)
    if panel is None:
        return
    current = panel.model.annotation.current
    for found in panel.model.layers.layers:
        if found.role == role and found.object_id == current:
            viewer.layers.selection.active = found.layer
            found.layer.mode = "paint"
            return
    show_info(f"There is no {role} layer of this object yet: run first")


def show_keys(viewer: Viewer) -> None:
    if panel := _panel(viewer):
        panel.around.keys.show_sheet()
