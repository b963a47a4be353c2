"""Corrections steer, and objects: in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_amodal.export import Origin
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.correction_box import range_of
from napari_amodal.widgets.object_list import COLOR, NAME, SHOWN, STATUS

from .driving import (
    brush,
    choose_engine,
    mask,
    paint_square,
    press_run,
    run_to_its_end,
    wait_until_idle,
)

Open = Callable[[], CompletionWidget]


@pytest.fixture
def done(open_widget: Open, frames: np.ndarray, qtbot: Any) -> CompletionWidget:
    """A panel with a finished run of the still engine over eight frames."""
    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    widget.frames.refresh()
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 0)
    choose_engine(widget, "still")
    run_to_its_end(qtbot, widget)
    return widget


def update(qtbot: Any, widget: CompletionWidget) -> None:
    assert widget.corrections.update_button.isEnabled()
    qtbot.mouseClick(widget.corrections.update_button, Qt.MouseButton.LeftButton)
    assert widget.model.is_busy
    wait_until_idle(qtbot, widget)


def test_a_stroke_locks_its_frame_and_the_update_goes_by_it(
    done: CompletionWidget, qtbot: Any
) -> None:
    annotation, layers = done.model.annotation, done.model.viewer.layers
    assert not done.corrections.update_button.isEnabled()
    viewer = done.model.viewer
    assert isinstance(viewer, Viewer)
    done.corrections.set_locks([6], locked=True)
    assert annotation.undo_label == "Lock frame 6"
    before = {frame: mask(layers["visible"], frame) for frame in range(8)}
    brush(viewer, layers["visible"], [(4, 36, 50), (4, 40, 54), (4, 36, 58)])
    qtbot.waitUntil(lambda: annotation.objects[1].locked == {4, 6})
    corrected = mask(layers["visible"], 4)
    assert (corrected & ~before[4]).any()
    assert annotation.objects[1].visible_origin[4] is Origin.EDITED
    steps = len(annotation.history.steps)

    update(qtbot, done)
    assert "frames updated" in done.model.status
    changed = {f for f in range(8) if (mask(layers["visible"], f) != before[f]).any()}
    assert changed == {2, 3, 4, 5}
    assert (mask(layers["visible"], 4) == corrected).all()
    assert (mask(layers["visible"], 6) == before[6]).all()  # locked
    assert len(annotation.history.steps) == steps + 1  # one step
    assert not done.corrections.update_button.isEnabled()  # nothing is new any more
    done.corrections.undo.click()
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert all((mask(layers["visible"], f) == before[f]).all() for f in (1, 2, 3, 5, 6, 7))
    assert (mask(layers["visible"], 4) == corrected).all()
    done.corrections.redo.click()
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert (mask(layers["visible"], 5) != before[5]).any()


def test_an_update_is_cancelled_and_undone_as_one_step(done: CompletionWidget, qtbot: Any) -> None:
    annotation, layers = done.model.annotation, done.model.viewer.layers
    paint_square(layers["visible"], 3, corner=(30, 40))
    qtbot.waitUntil(lambda: annotation.objects[1].locked == {3})
    before = mask(layers["visible"], 2)
    choose_engine(done, "still", pause=0.2)
    done.corrections.update_button.click()
    qtbot.waitUntil(lambda: (mask(layers["visible"], 2) != before).any())  # frame by frame
    assert done.model.is_busy
    done.cancel_button.click()
    qtbot.waitUntil(lambda: not done.model.is_busy, timeout=1500)
    assert done.model.status.startswith("Cancelled")
    assert annotation.undo_label == "Update from corrections"
    assert annotation.objects[1].fresh == {3}  # it can be updated again
    annotation.undo()
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert (mask(layers["visible"], 2) == before).all()


def test_a_run_leaves_locked_frames_and_is_one_step(done: CompletionWidget, qtbot: Any) -> None:
    annotation, layers = done.model.annotation, done.model.viewer.layers
    done.corrections.set_locks([2, 3], locked=True)
    assert done.corrections.locks.text() == "Locked: 2 and 3"
    query = done.model.query
    assert query is not None
    before = mask(layers["visible"], 2)
    query.data[0] = 0
    query.refresh()
    paint_square(query, 0, corner=(30, 40))
    run_to_its_end(qtbot, done)
    assert (mask(layers["visible"], 2) == before).all()
    assert (mask(layers["visible"], 0) == mask(query, 0)).all()
    assert annotation.undo_label == "Run still"
    annotation.undo()
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert (mask(layers["visible"], 0) == before).all()


def test_locks_are_set_and_lifted_for_a_range(
    done: CompletionWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotation = done.model.annotation
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("2-5", True))
    done.corrections.range.click()
    assert annotation.objects[1].locked == {2, 3, 4, 5}
    done.model.go_to(4)
    assert done.corrections.lock.isChecked()
    done.corrections.lock.click()
    assert annotation.objects[1].locked == {2, 3, 5}
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("-0-9", True))
    done.corrections.range.click()
    assert annotation.objects[1].locked == set()
    assert [step.label for step in annotation.history.steps[-3:]] == [
        "Lock frames 2 to 5",
        "Unlock frame 4",
        "Unlock frames 0 to 7",
    ]


def test_ranges_are_read() -> None:
    assert range_of("3-5", 7) == ([3, 4, 5], True)
    assert range_of(" 5-3 ", 7) == ([3, 4, 5], True)
    assert range_of("6", 7) == ([6], True)
    assert range_of("-6-99", 7) == ([6, 7], False)
    assert range_of("all", 7) == ([], True)


def test_naparis_undo_of_a_stroke_lifts_its_lock(done: CompletionWidget, qtbot: Any) -> None:
    annotation = done.model.annotation
    amodal = done.model.viewer.layers["amodal"]
    done.model.go_to(5)
    amodal.brush_size = 7
    amodal.paint((5, 40, 50), 1)
    qtbot.waitUntil(lambda: annotation.objects[1].locked == {5})
    amodal.undo()
    qtbot.waitUntil(lambda: annotation.objects[1].locked == set())
    assert annotation.undo_label == "Run still"
    amodal.redo()
    qtbot.waitUntil(lambda: annotation.objects[1].locked == {5})


def test_objects_are_added_named_hidden_merged_and_deleted(
    done: CompletionWidget, qtbot: Any, tmp_path: Path
) -> None:
    annotation, viewer, objects = done.model.annotation, done.model.viewer, done.objects
    query = done.model.query
    assert query is not None
    objects.add.click()
    assert annotation.current == 2 and query.selected_label == 2
    assert objects.table.item(1, STATUS).text() == "paint its query"
    assert "object 2 has no masks yet" in done.export_button.toolTip()
    objects.table.item(1, NAME).setText("cup")
    assert annotation.objects[2].name == "cup"
    paint_square(query, 3, label=2, corner=(28, 40))
    qtbot.waitUntil(lambda: objects.table.item(1, STATUS).text() == "query painted")

    before = mask(viewer.layers["visible 1"], 5)
    objects.complete.click()  # this one alone
    wait_until_idle(qtbot, done)
    assert "1 object" in done.model.status
    assert (mask(viewer.layers["visible 2"], 5) == (query.data[3] == 2)).all()
    assert (mask(viewer.layers["visible 1"], 5) == before).all()

    objects.table.item(1, SHOWN).setCheckState(Qt.CheckState.Unchecked)
    assert not viewer.layers["visible 2"].visible and viewer.layers["visible 1"].visible
    annotation.undo()
    assert viewer.layers["visible 2"].visible
    assert objects.table.item(1, COLOR).background().color().name() == annotation.objects[2].color

    done.model.start_export(tmp_path, overwrite=False)
    wait_until_idle(qtbot, done)
    second = read_tabe51(tmp_path / "clip-1")
    assert (second.visible[5] == mask(viewer.layers["visible 2"], 5)).all()

    both = mask(viewer.layers["visible 1"], 5) | mask(viewer.layers["visible 2"], 5)
    objects.table.selectAll()
    objects.merge.click()
    assert list(annotation.objects) == [1]
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert "visible 2" not in viewer.layers
    assert (mask(viewer.layers["visible 1"], 5) == both).all()
    annotation.undo()
    qtbot.waitUntil(lambda: "visible 2" in viewer.layers and done.model.layers.is_up_to_date)
    assert (mask(viewer.layers["visible 1"], 5) == before).all()
    objects.table.clearSelection()
    objects.table.selectRow(1)
    objects.delete.click()
    assert list(annotation.objects) == [1]
    assert not (query.data == 2).any()


def test_a_tool_changes_layers_at_once_and_the_stroke_before_is_kept(
    done: CompletionWidget, qtbot: Any
) -> None:
    annotation, layers = done.model.annotation, done.model.viewer.layers
    done.model.go_to(2)
    empty = np.zeros((48, 64), np.bool_)
    small = empty.copy()
    small[5:9, 5:9] = True

    from napari_amodal.annotation.object_annotation import corrected

    annotation.change("Tool", 1, lambda o: corrected(o, {2: small, 6: small}, {2: small, 6: small}))
    assert (mask(layers["visible"], 2) == small).all()  # the shown frame, without waiting
    qtbot.waitUntil(lambda: done.model.layers.is_up_to_date)
    assert (mask(layers["amodal"], 6) == small).all()
    press_run(qtbot, done)
    wait_until_idle(qtbot, done)
    assert (mask(layers["visible"], 6) == small).all()
