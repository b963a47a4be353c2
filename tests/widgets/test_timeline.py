"""The timeline in a real viewer: what it draws, and where clicks lead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_amodal.annotation.object_annotation import with_locks
from napari_amodal.levels import OcclusionLevel
from napari_amodal.widgets import actions
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.frame_facts import Facts, Mark
from napari_amodal.widgets.timeline import (
    LEVEL_HEIGHT,
    MARGIN,
    MARK_COLORS,
    NAME_WIDTH,
    ROW_HEIGHT,
    Timeline,
    _draw_row,
)

from .driving import paint_square, run_to_its_end


@pytest.fixture
def widget(qtbot: Any, open_widget: Any, frames: np.ndarray) -> CompletionWidget:
    """The panel after a run over 8 frames from a square on frame 0."""
    made: CompletionWidget = open_widget()
    made.model.viewer.add_image(frames, name="clip", rgb=True)
    made.frames.refresh()
    made.new_query.click()
    made.model.go_to(0)
    assert made.model.query is not None
    paint_square(made.model.query, 0)
    run_to_its_end(qtbot, made)
    qtbot.waitUntil(lambda: (made.around.facts.facts[1].levels >= 0).all())
    made.around.timeline.resize(NAME_WIDTH + MARGIN + 800, 60)
    return made


def at(timeline: Timeline, frame: float, row: int = 0) -> QPoint:
    return QPoint(round(timeline._x_of(frame + 0.5)), MARGIN + row * ROW_HEIGHT + 4)


def test_it_stands_under_the_canvas(qtbot: Any, widget: CompletionWidget) -> None:
    window = widget.model.viewer.window
    qtbot.waitUntil(lambda: "Amodal timeline" in window.dock_widgets)
    area = window._qt_window.dockWidgetArea(widget.around._dock)
    assert area == Qt.DockWidgetArea.BottomDockWidgetArea


def test_a_click_and_a_drag_go_to_a_frame(qtbot: Any, widget: CompletionWidget) -> None:
    timeline = widget.around.timeline
    qtbot.mousePress(timeline, Qt.MouseButton.LeftButton, pos=at(timeline, 5))
    assert widget.model.frame == 5
    qtbot.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=at(timeline, 5))


def test_marks_are_drawn_where_the_hand_was(qtbot: Any, widget: CompletionWidget) -> None:
    annotation, timeline = widget.model.annotation, widget.around.timeline
    annotation.change("Lock", 1, lambda one: with_locks(one, [3], locked=True))
    qtbot.waitUntil(lambda: bool(widget.around.facts.facts[1].marks[3] & Mark.LOCKED))
    assert widget.around.facts.facts[1].marks[0] & Mark.QUERY
    picture = timeline.grab().toImage()
    ratio = picture.width() / timeline.width()
    row = MARGIN + ROW_HEIGHT - 5

    def color(frame: int) -> str:
        point = at(timeline, frame + 0.2)  # beside the line of the shown frame
        return picture.pixelColor(round(point.x() * ratio), round(row * ratio)).name()

    assert color(3) == MARK_COLORS[Mark.LOCKED].name()
    assert color(0) == MARK_COLORS[Mark.QUERY].name()
    assert color(6) not in {shade.name() for shade in MARK_COLORS.values()}
    assert "locked" in timeline.tip(1, 3) and "locked" not in timeline.tip(1, 4)


def test_the_level_is_set_by_hand_for_a_selected_range(
    qtbot: Any, widget: CompletionWidget
) -> None:
    annotation, timeline = widget.model.annotation, widget.around.timeline
    amounts = [annotation.objects[1].occlusion(frame).amount for frame in range(8)]
    shift = Qt.KeyboardModifier.ShiftModifier
    qtbot.mousePress(timeline, Qt.MouseButton.LeftButton, shift, at(timeline, 2))
    timeline._select(range(2, 5))
    menu = timeline.level_menu(1, 3)
    next(action for action in menu.actions() if action.text() == "severe").trigger()
    assert set(annotation.objects[1].levels) == {2, 3, 4}
    for frame in range(8):
        occlusion = annotation.objects[1].occlusion(frame)
        assert (occlusion.level is OcclusionLevel.SEVERE_OCCLUSION) == (frame in (2, 3, 4))
        assert occlusion.amount == amounts[frame], "amounts follow from the masks"
    assert widget.around.tools_box.frames == range(2, 5)
    annotation.undo()
    assert not annotation.objects[1].levels


def test_the_key_goes_to_the_frames_worth_a_look_worst_first(
    qtbot: Any, widget: CompletionWidget
) -> None:
    facts, viewer = widget.around.facts.facts[1], widget.model.viewer
    facts.doubt[:], facts.disagreement[:] = 0, 0
    facts.doubt[1], facts.disagreement[7] = 0.5, 0.9
    for wanted in (7, 1, 7):
        actions.next_worth_a_look(viewer)
        assert widget.model.frame == wanted


def test_of_frames_that_share_a_column_none_is_lost() -> None:
    facts = Facts.unknown(10_000)
    facts.levels[:] = int(OcclusionLevel.NO_OCCLUSION)
    facts.levels[5_003] = int(OcclusionLevel.SEVERE_OCCLUSION)
    facts.marks[7_001] = Mark.LOCKED
    pixels = np.zeros((ROW_HEIGHT, 500), np.uint32)
    _draw_row(pixels, facts)
    assert len(np.unique(pixels[:LEVEL_HEIGHT])) == 2
    assert pixels[0, 250] != pixels[0, 249]
    assert (pixels == MARK_COLORS[Mark.LOCKED].rgba()).any(axis=0).nonzero()[0].tolist() == [350]
