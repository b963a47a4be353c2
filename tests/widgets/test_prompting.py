"""Pointing at an object in a real viewer: clicks and a box become its query."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.events import Event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_amodal.boxes import Box
from napari_amodal.widgets.completion_widget import CompletionWidget

from .driving import SECONDS_30, run_to_its_end

SQUARE = (slice(10, 26), slice(8, 24))


@pytest.fixture
def widget(open_widget: Any, frames: np.ndarray) -> CompletionWidget:
    """The panel with the clip of a red square, pointing."""
    made: CompletionWidget = open_widget()
    made.model.viewer.add_image(frames, name="clip", rgb=True)
    made.frames.refresh()
    made.model.go_to(0)
    made.around.prompts.point.click()
    return made


def drag(widget: CompletionWidget, places: list[tuple[float, float]], button: int = 1) -> None:
    """Press at the first place ``(y, x)``, move along the others and let go at the last."""
    layer, viewer = widget.around.prompting._layer, widget.model.viewer
    assert layer is not None
    for kind, call, moved in (
        ("mouse_press", mouse_press_callbacks, places[:1]),
        ("mouse_move", mouse_move_callbacks, places[1:]),
        ("mouse_release", mouse_release_callbacks, places[-1:]),
    ):
        for place in moved:
            event = Event(
                type_name=kind,
                is_dragging=kind == "mouse_move",
                button=button,
                modifiers=[],
                position=(widget.model.frame, *place),
                view_direction=None,
                up_direction=None,
                dims_displayed=list(viewer.dims.displayed),
                dims_point=list(viewer.dims.point),
            )
            call(layer, ReadOnlyWrapper(event, exceptions=("handled",)))


def wait(qtbot: Any, widget: CompletionWidget) -> None:
    qtbot.waitUntil(lambda: not widget.around.prompting.is_busy, timeout=SECONDS_30)


def query(widget: CompletionWidget, frame: int = 0) -> np.ndarray:
    assert widget.model.query is not None
    return np.asarray(widget.model.query.data[frame]) != 0


def test_a_click_is_a_query_and_a_run_follows(qtbot: Any, widget: CompletionWidget) -> None:
    drag(widget, [(18, 16)])
    wait(qtbot, widget)
    found = query(widget)
    assert found[SQUARE].mean() > 0.9 and found.sum() < 1.2 * 256
    annotation = widget.model.annotation
    assert annotation.undo_label == "Click, frame 0"
    assert annotation.objects[1].clicks[0].inside == ((18.0, 16.0),)
    widget.around.prompts.point.click()
    assert not widget.around.prompting.is_on and "clicks" not in widget.model.viewer.layers
    run_to_its_end(qtbot, widget)
    assert annotation.objects[1].visible[0].any()


def test_clicks_on_a_second_frame_are_no_slip(qtbot: Any, widget: CompletionWidget) -> None:
    drag(widget, [(18, 16)])
    wait(qtbot, widget)
    widget.model.go_to(5)
    drag(widget, [(18, 36)])
    wait(qtbot, widget)
    widget.around.prompts.point.click()
    assert widget.model.query is not None
    assert widget.model.query.mode == "pan_zoom"  # a drag on the canvas paints nothing
    run_to_its_end(qtbot, widget)
    assert sorted(widget.model.annotation.objects[1].query_frames) == [0, 5]
    (amodal,) = (found for found in widget.model.layers.layers if found.role == "amodal")
    assert widget.model.viewer.layers.selection.active is amodal.layer


def test_a_box_and_a_click_beside(qtbot: Any, widget: CompletionWidget) -> None:
    drag(widget, [(7, 5), (20, 20), (28, 26)])
    wait(qtbot, widget)
    assert widget.model.annotation.objects[1].clicks[0].box == Box(7, 5, 29, 27)
    assert query(widget)[SQUARE].mean() > 0.9
    drag(widget, [(24, 22)], button=2)
    wait(qtbot, widget)
    assert widget.model.annotation.objects[1].clicks[0].outside == ((24.0, 22.0),)
    assert not query(widget)[24, 22]


def test_each_click_is_one_step_of_undo_and_reset_too(qtbot: Any, widget: CompletionWidget) -> None:
    for place in ((18.0, 16.0), (20.0, 12.0)):
        drag(widget, [place])
        wait(qtbot, widget)
    annotation = widget.model.annotation
    annotation.undo()
    assert annotation.objects[1].clicks[0].inside == ((18.0, 16.0),)
    widget.around.prompts.reset.click()
    assert not annotation.objects[1].query_frames and not annotation.objects[1].clicks
    assert not query(widget).any()
    annotation.undo()
    assert query(widget).any()


def test_clicks_that_come_while_one_works_are_not_lost(
    qtbot: Any, widget: CompletionWidget
) -> None:
    for place in ((18.0, 16.0), (20.0, 12.0), (13.0, 20.0)):
        drag(widget, [place])
    qtbot.waitUntil(lambda: 1 in widget.model.annotation.objects)
    wait(qtbot, widget)
    clicks = widget.model.annotation.objects[1].clicks[0]
    assert clicks.inside == ((18.0, 16.0), (20.0, 12.0), (13.0, 20.0))


def test_a_first_click_beside_is_told_and_changes_nothing(
    qtbot: Any, widget: CompletionWidget, said: Any
) -> None:
    drag(widget, [(40, 50)], button=2)
    assert any("Click on the object first" in message for message in said())
    assert not widget.model.annotation.objects[1].clicks
