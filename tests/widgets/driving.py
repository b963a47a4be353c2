"""What an annotator does, in calls: painting, waiting, pressing."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Labels
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.events import Event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import Qt

from napari_amodal.widgets.completion_widget import CompletionWidget

SECONDS_30 = 30_000


def choose_engine(widget: CompletionWidget, name: str, **settings: Any) -> None:
    """Choose an engine by name and set some of its settings in the form.

    A setting is named alone or, where several stages have one of that name, as ``stage.setting``.
    """
    names = [widget.engines.list.itemText(index) for index in range(widget.engines.list.count())]
    widget.engines.list.setCurrentIndex(names.index(name))
    assert widget.engines.form is not None
    for (stage, setting), (_, field) in widget.engines.form._values.items():
        for name in {setting, f"{stage}.{setting}"} & settings.keys():
            field.value = settings[name]


def brush(viewer: Viewer, layer: Labels, stroke: list[tuple[float, ...]], label: int = 1) -> None:
    """Drag the layer's brush along world positions, by mouse events."""
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    layer.selected_label = label
    viewer.dims.set_point(0, stroke[0][0])
    mouse_press_callbacks(layer, _mouse("mouse_press", viewer, stroke[0]))
    for position in stroke[1:]:
        mouse_move_callbacks(layer, _mouse("mouse_move", viewer, position))
    mouse_release_callbacks(layer, _mouse("mouse_release", viewer, stroke[-1]))


def _mouse(kind: str, viewer: Viewer, position: tuple[float, ...]) -> Any:
    dims = viewer.dims
    event = Event(
        type_name=kind,
        is_dragging=kind == "mouse_move",
        button=1,
        modifiers=[],
        position=position,
        view_direction=None,
        up_direction=None,
        dims_displayed=list(dims.displayed),
        dims_point=list(dims.point),
    )
    return ReadOnlyWrapper(event, exceptions=("handled",))


def press_run(qtbot: Any, widget: CompletionWidget) -> None:
    assert widget.run_button.isEnabled(), widget.run_button.toolTip()
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)


def wait_until_idle(qtbot: Any, widget: CompletionWidget) -> None:
    qtbot.waitUntil(lambda: not widget.model.is_busy, timeout=SECONDS_30)


def run_to_its_end(qtbot: Any, widget: CompletionWidget) -> None:
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert widget.model.status.startswith("Done"), widget.model.status


def paint_square(
    layer: Labels, frame: int, label: int = 1, corner: tuple[int, int] = (10, 8)
) -> None:
    """Paint 16 x 16 pixels with the layer's own square brush."""
    layer.brush_size = 5
    for dy in range(2, 16, 4):
        for dx in range(2, 16, 4):
            layer.paint((frame, corner[0] + dy, corner[1] + dx), label)


def mask(layer: Labels, frame: int) -> np.ndarray:
    return np.asarray(layer.data[frame]) != 0
