"""The dock widget: running, running again, cancelling, and what may happen meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.stages import VisibleTrack
from napari_amodal.widgets.completion_widget import CompletionWidget
from still_engine import StillTracker

from .driving import (
    choose_engine,
    mask,
    paint_square,
    press_run,
    run_to_its_end,
    wait_until_idle,
)

Open = Callable[[], CompletionWidget]
Said = Callable[[], list[str]]


def with_query(open_widget: Open, frames: np.ndarray, **settings: Any) -> CompletionWidget:
    """A widget over `frames`, with a square painted on frame 2 and the still engine chosen."""
    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    widget.frames.refresh()
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 2)
    choose_engine(widget, "still", **settings)
    return widget


def test_buttons_say_what_is_missing(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = open_widget()
    assert not widget.run_button.isEnabled() and "Open a clip" in widget.stage.text()
    widget.model.viewer.add_image(frames)
    qtbot.waitUntil(lambda: widget.model.stack is not None)
    assert not widget.run_button.isEnabled() and "press New" in widget.run_button.toolTip()
    widget.new_query.click()
    assert widget.run_button.isEnabled()
    assert not widget.export_button.isEnabled()


def test_engines_show_what_they_lack(open_widget: Open) -> None:
    widget = open_widget()
    items = [widget.engines.list.itemText(index) for index in range(widget.engines.list.count())]
    assert items[0].startswith("draft") and "lacking (incomplete)" in items
    widget.engines.list.setCurrentIndex(items.index("lacking (incomplete)"))
    assert "pip install crystal-ball" in widget.engines.note.text()
    assert not widget.run_button.isEnabled()


def test_settings_come_from_the_stages(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = with_query(open_widget, frames)
    form = widget.engines.form
    assert form is not None and form.overrides() == {}
    assert {name for _, name in form._values} == {
        "pause",
        "fails",
        "stall_at",
    }  # those with a label
    choose_engine(widget, "still", pause=0.01)
    assert form is not widget.engines.form or form.overrides() == {"still": {"pause": 0.01}}
    assert "1 changed" in widget.engines.settings_button.text()
    run_to_its_end(qtbot, widget)
    completion = widget.model.completion
    assert completion is not None
    assert completion.settings["still"] == {
        "pause": 0.01,
        "fails": False,
        "stall_at": -1,
        "seed": 42,
    }


def test_a_run_fills_two_layers(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = with_query(open_widget, frames)
    run_to_its_end(qtbot, widget)
    viewer = widget.model.viewer
    assert [layer.name for layer in viewer.layers] == ["clip", "amodal", "visible", "query"]
    square = mask(viewer.layers["query"], 2)
    for name in ("visible", "amodal"):
        assert all((mask(viewer.layers[name], frame) == square).all() for frame in range(8))
    widget.model.go_to(3)
    assert widget.model.frame == 3
    qtbot.waitUntil(lambda: widget.occlusion.text(1) == "none, 0 % hidden")
    assert "frame 3" in widget.results_title.text()


def test_the_level_follows_the_brush_and_undo(
    open_widget: Open, frames: np.ndarray, qtbot: Any
) -> None:
    widget = with_query(open_widget, frames)
    run_to_its_end(qtbot, widget)
    amodal = widget.model.viewer.layers["amodal"]
    widget.model.go_to(4)
    amodal.brush_size = 5
    amodal.paint((4, 40, 50), 1)
    qtbot.waitUntil(lambda: widget.occlusion.text(1).startswith("slight"))
    amodal.undo()
    qtbot.waitUntil(lambda: widget.occlusion.text(1).startswith("none"))


def test_running_again_keeps_corrections_and_goes_by_them(
    open_widget: Open, frames: np.ndarray, qtbot: Any
) -> None:
    widget = with_query(open_widget, frames)
    run_to_its_end(qtbot, widget)
    layers = widget.model.viewer.layers
    visible, amodal = layers["visible"], layers["amodal"]
    paint_square(visible, 6, corner=(30, 40))
    paint_square(amodal, 1, corner=(30, 2))
    kept_visible, kept_amodal = mask(visible, 6), mask(amodal, 1)

    for _ in range(2):  # what was kept once is kept the next time, too
        run_to_its_end(qtbot, widget)
        assert "Kept your frames 1 and 6" in widget.model.status
        assert (mask(visible, 6) == kept_visible).all() and (mask(amodal, 1) == kept_amodal).all()
        assert (mask(visible, 7) == kept_visible).all()  # the tracker went by frame 6
        assert (mask(visible, 2) == mask(layers["query"], 2)).all()
    assert len(layers) == 4

    widget.keep_edits.setChecked(False)
    run_to_its_end(qtbot, widget)
    assert "Replaced your frames 1 and 6" in widget.model.status
    assert (mask(visible, 6) == mask(layers["query"], 2)).all()
    assert (mask(amodal, 1) == mask(layers["query"], 2)).all()


def test_painting_during_a_run_is_kept(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = with_query(open_widget, frames, pause=0.3)
    layers = widget.model.viewer.layers
    press_run(qtbot, widget)
    qtbot.waitUntil(lambda: "visible" in layers and mask(layers["visible"], 0).any())
    active = layers.selection.active
    assert active is widget.model.query  # new layers do not take the brush away
    paint_square(layers["visible"], 7, corner=(30, 40))  # before the run comes to it
    paint_square(layers["visible"], 0, corner=(30, 40))  # after it
    paint_square(widget.model.query, 5, corner=(30, 2))  # the run has read the query already
    wanted = mask(layers["visible"], 7), mask(layers["visible"], 0)
    wait_until_idle(qtbot, widget)
    assert widget.model.status.startswith("Done")
    assert (mask(layers["visible"], 7) == wanted[0]).all()
    assert (mask(layers["visible"], 0) == wanted[1]).all()
    assert mask(layers["query"], 5).any()


def test_cancel_stops_at_once_and_keeps_what_came(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_query(open_widget, frames, stall_at=2)
    press_run(qtbot, widget)
    layers = widget.model.viewer.layers
    qtbot.waitUntil(lambda: "visible" in layers and mask(layers["visible"], 1).any())
    qtbot.mouseClick(widget.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.model.is_busy, timeout=1000)
    assert "Cancelled: the masks of 2 frames" in widget.model.status
    assert mask(layers["visible"], 1).any() and not mask(layers["visible"], 7).any()
    assert not widget.export_button.isEnabled() and "run again" in widget.export_button.toolTip()
    choose_engine(widget, "still", stall_at=-1)
    run_to_its_end(qtbot, widget)
    assert "Kept" not in widget.model.status and widget.export_button.isEnabled()
    assert said() == []


@pytest.mark.parametrize("name", ["clip", "visible"])
def test_a_layer_removed_during_a_run_stops_it(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said, name: str
) -> None:
    widget = with_query(open_widget, frames, stall_at=4)
    press_run(qtbot, widget)
    layers = widget.model.viewer.layers
    qtbot.waitUntil(lambda: "visible" in layers and mask(layers["visible"], 0).any())
    layers.remove(name)
    wait_until_idle(qtbot, widget)
    assert [message for message in said() if f"{name!r}" in message and "removed" in message]
    assert len(said()) == 1
    assert "Run again" not in widget.stage.text()  # there is nothing left to complete


def test_query_removed_and_layers_renamed_during_a_run(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_query(open_widget, frames, pause=0.1)
    press_run(qtbot, widget)
    layers = widget.model.viewer.layers
    qtbot.waitUntil(lambda: "visible" in layers and mask(layers["visible"], 0).any())
    layers.remove("query")
    layers["visible"].name = "seen"
    layers["clip"].name = "other"
    wait_until_idle(qtbot, widget)
    assert widget.model.status.startswith("Done") and mask(layers["seen"], 7).any()
    assert said() == []


def test_viewer_closed_during_a_run(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = with_query(open_widget, frames, stall_at=4)
    press_run(qtbot, widget)
    assert widget.model.run is not None
    job = widget.model.run.job
    qtbot.wait(100)
    viewer = widget.model.viewer
    del widget
    viewer.close()
    qtbot.waitUntil(lambda: not job.is_alive, timeout=1000)


def test_panel_closed_during_a_run(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = with_query(open_widget, frames, stall_at=4)
    press_run(qtbot, widget)
    assert widget.model.run is not None
    job = widget.model.run.job
    viewer = widget.model.viewer
    assert isinstance(viewer, Viewer)
    viewer.window.remove_dock_widget(widget)
    del widget
    gc.collect()
    qtbot.waitUntil(lambda: not job.is_alive, timeout=2000)
    assert job.is_cancelled()


def test_two_objects_have_layers_of_their_own_and_may_overlap(
    open_widget: Open, frames: np.ndarray, qtbot: Any, tmp_path: Path
) -> None:
    widget = with_query(open_widget, frames)
    query = widget.model.query
    assert query is not None
    paint_square(query, 4, label=2, corner=(18, 16))  # on another frame, over the first's place
    run_to_its_end(qtbot, widget)
    layers = widget.model.viewer.layers
    first, second = layers["amodal 1"], layers["amodal 2"]
    assert (mask(first, 5) & mask(second, 5)).any()
    assert set(np.unique(second.data)) == {0, 2}
    widget.model.start_export(tmp_path, overwrite=False)
    wait_until_idle(qtbot, widget)
    for folder, layer in (("clip", first), ("clip-1", second)):
        assert (read_tabe51(tmp_path / folder).amodal[5] == mask(layer, 5)).all()


def test_export_asks_before_it_replaces(
    open_widget: Open,
    frames: np.ndarray,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widget = with_query(open_widget, frames)
    run_to_its_end(qtbot, widget)
    widget.model.start_export(tmp_path, overwrite=False)
    wait_until_idle(qtbot, widget)
    amodal = widget.model.viewer.layers["amodal"]
    before = mask(amodal, 3)
    paint_square(amodal, 3, corner=(30, 2))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    asked: list[str] = []

    def answer(button: QMessageBox.StandardButton) -> None:
        monkeypatch.setattr(QMessageBox, "question", lambda *said: asked.append(said[2]) or button)
        widget.export_button.click()
        wait_until_idle(qtbot, widget)

    answer(QMessageBox.StandardButton.No)
    assert str(tmp_path / "clip") in asked[0]
    assert (read_tabe51(tmp_path / "clip").amodal[3] == before).all()
    answer(QMessageBox.StandardButton.Yes)
    assert (read_tabe51(tmp_path / "clip").amodal[3] == mask(amodal, 3)).all()


def test_export_that_fails_says_so(
    open_widget: Open, frames: np.ndarray, qtbot: Any, tmp_path: Path, said: Said
) -> None:
    widget = with_query(open_widget, frames)
    run_to_its_end(qtbot, widget)
    (tmp_path / "clip").mkdir()
    widget.model.start_export(tmp_path, overwrite=False)
    wait_until_idle(qtbot, widget)
    assert widget.model.status == "Nothing was exported"
    assert "is there already" in said()[0]


def test_the_window_stays_live_during_a_run(
    open_widget: Open, frames: np.ndarray, qtbot: Any
) -> None:
    widget = with_query(open_widget, frames, stall_at=4)
    press_run(qtbot, widget)
    layers = widget.model.viewer.layers
    qtbot.waitUntil(lambda: "visible" in layers and mask(layers["visible"], 3).any())
    for frame in range(8):  # each turn of the event loop comes back while the stage works
        widget.model.go_to(frame)
        qtbot.wait(5)
        assert widget.model.is_busy and f"frame {frame}" in widget.results_title.text()
    widget.model.cancel()
    wait_until_idle(qtbot, widget)


def test_frames_where_the_tracker_is_unsure_are_marked_until_corrected(
    open_widget: Open, frames: np.ndarray, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = with_query(open_widget, frames)
    track = StillTracker.track

    def unsure(self: StillTracker, *args: Any) -> dict[int, VisibleTrack]:
        tracks = track(self, *args)
        for found in tracks.values():
            found.confidence[4:6] = 0.1
        return dict(tracks)

    monkeypatch.setattr(StillTracker, "track", unsure)
    run_to_its_end(qtbot, widget)
    timeline = widget.around.timeline
    qtbot.waitUntil(lambda: widget.model.levels.doubtful == {1: {4, 5}})
    qtbot.waitUntil(lambda: widget.around.facts.facts[1].doubt[4] > 0.8)
    assert "confidence 0.10" in timeline.tip(1, 4) and "0.10" not in timeline.tip(1, 3)

    widget.model.go_to(4)
    paint_square(widget.model.viewer.layers["visible"], 4, corner=(30, 40))
    qtbot.waitUntil(lambda: widget.model.levels.doubtful == {1: {5}})
    monkeypatch.setattr(StillTracker, "track", track)
    run_to_its_end(qtbot, widget)
    qtbot.waitUntil(lambda: widget.model.levels.doubtful == {1: set()})
    qtbot.waitUntil(lambda: "0.10" not in timeline.tip(1, 5))


def test_a_fault_in_a_stage_is_shown_and_leaves_the_widget_usable(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_query(open_widget, frames, fails=True)
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert said() == ["the stage has a fault"]
    choose_engine(widget, "still", fails=False)
    run_to_its_end(qtbot, widget)


def test_what_a_script_paints_on_a_frame_that_is_not_shown_is_found(
    open_widget: Open, frames: np.ndarray, qtbot: Any
) -> None:
    widget = open_widget()
    widget.model.viewer.add_image(frames, name="clip")
    widget.frames.refresh()
    widget.new_query.click()
    query = widget.model.query
    assert query is not None
    qtbot.waitUntil(lambda: "all of it is visible" in widget.painted.text())
    query.data[6, 5:9, 5:9] = 1
    query.refresh()
    qtbot.waitUntil(lambda: 'object 1 on frame <a href="6"' in widget.painted.text())
