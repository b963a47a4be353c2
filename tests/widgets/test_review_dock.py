"""The dock *Amodal dataset* in a real viewer: a folder of clips, from to do to done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_amodal.annotation.review import ReviewStatus, read_review, review_file
from napari_amodal.annotation.session_search import is_in_use
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.review_dock import ReviewDock

from .driving import SECONDS_30, paint_square


@pytest.fixture
def folder(tmp_path: Path, frames: np.ndarray) -> Path:
    """Three folders of images."""
    for name in ("ball", "car", "dog"):
        images = tmp_path / "clips" / name / "frames"
        images.mkdir(parents=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(images / f"{number:05d}.png"), frame[..., ::-1])
    return tmp_path / "clips"


@pytest.fixture
def docks(open_widget: Any) -> tuple[CompletionWidget, ReviewDock]:
    widget: CompletionWidget = open_widget()
    _, dock = widget.model.viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal dataset")
    assert isinstance(dock, ReviewDock)
    dock.person.setText("ann")
    return widget, dock


def rows(dock: ReviewDock) -> list[tuple[str, str]]:
    found = [dock.list.topLevelItem(row) for row in range(dock.list.topLevelItemCount())]
    return [(item.text(0), item.text(1)) for item in found if item is not None]


def wait_for(widget: CompletionWidget, dock: ReviewDock) -> None:
    """The panel hears of a clip that the dock opened when the window is idle."""
    assert dock.open_clip is not None
    until = time.monotonic() + 10
    while time.monotonic() < until:
        stack = widget.model.stack
        if stack is not None and stack.name == dock.open_clip.name:
            return
        QApplication.processEvents()
    raise AssertionError(f"the panel does not show {dock.open_clip.name}")


def annotate(widget: CompletionWidget, dock: ReviewDock) -> None:
    wait_for(widget, dock)
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 0)
    widget.model.hear_now()


def test_a_clip_goes_from_to_do_to_done(
    docks: tuple[CompletionWidget, ReviewDock], folder: Path
) -> None:
    widget, dock = docks
    dock.open_folder(folder)
    assert rows(dock) == [("ball", "to do"), ("car", "to do"), ("dog", "to do")]
    dock.after.click()
    assert dock.open_clip is not None and dock.open_clip.name == "ball"
    wait_for(widget, dock)
    assert read_review(folder, "ball").status is ReviewStatus.TO_DO, "only looked at"
    annotate(widget, dock)
    assert read_review(folder, "ball").status is ReviewStatus.IN_WORK
    dock.notes.setPlainText("the shadow is not part of it")
    dock._seconds = 65.0
    dock.hand_in.click()
    review = read_review(folder, "ball")
    assert review.status is ReviewStatus.TO_REVIEW and review.annotator == "ann"
    assert review.notes == "the shadow is not part of it" and review.objects == 1
    assert review.total_seconds == 65.0
    assert not dock.accept.isEnabled(), "another person has to review it"

    dock.person.setText("bea")
    dock.person.editingFinished.emit()
    dock._judge(accepted=False, reason="the wheel is missing")
    assert read_review(folder, "ball").status is ReviewStatus.IN_WORK
    assert "the wheel is missing" in dock.verdict.text()
    dock.hand_in.click()
    dock.accept.click()
    assert read_review(folder, "ball").status is ReviewStatus.DONE
    assert rows(dock)[0] == ("ball", "done")


def test_next_previous_and_the_filter(
    docks: tuple[CompletionWidget, ReviewDock], folder: Path, said: Any
) -> None:
    widget, dock = docks
    dock.open_folder(folder)
    for name in ("ball", "car", "dog"):
        dock.after.click()
        assert dock.open_clip is not None and dock.open_clip.name == name
        assert [layer.name for layer in widget.model.viewer.layers] == [name]
    dock.after.click()
    assert any("last clip" in message for message in said())
    dock.before.click()
    assert dock.open_clip is not None and dock.open_clip.name == "car"
    annotate(widget, dock)
    dock.filter.setCurrentText("in work")
    assert rows(dock) == [("car", "in work")]
    dock.filter.setCurrentText("all")
    dock.search.setText("dog")
    assert rows(dock) == [("dog", "to do")]


def test_work_of_others_and_broken_files_are_shown(
    docks: tuple[CompletionWidget, ReviewDock], folder: Path, said: Any
) -> None:
    _, dock = docks
    path = review_file(folder, "car")
    path.parent.mkdir()
    path.write_text("<<<<<<< ours\n{}")
    dock.open_folder(folder)
    assert rows(dock)[1] == ("car", "broken")
    assert path.read_text().startswith("<<<<<<<"), "nothing is overwritten unasked"
    dock.open("car")
    assert not dock.notes.isEnabled() and not dock.hand_in.isEnabled()
    dock.open_folder(folder.parent / "nowhere")
    assert any("nowhere" in message for message in said())


def test_a_clip_goes_on_where_it_was_left(
    qtbot: Any, docks: tuple[CompletionWidget, ReviewDock], folder: Path
) -> None:
    widget, dock = docks
    session, annotation = widget.model.session, widget.model.annotation
    dock.open_folder(folder)
    dock.open("ball")
    annotate(widget, dock)
    qtbot.waitUntil(lambda: session.folder is not None, timeout=SECONDS_30)
    kept = session.folder
    assert kept is not None
    dock.open("car")
    qtbot.waitUntil(lambda: not is_in_use(kept), timeout=SECONDS_30)
    dock.open("ball")
    qtbot.waitUntil(
        lambda: 1 in annotation.objects and bool(annotation.objects[1].query_frames),
        timeout=SECONDS_30,
    )
    assert widget.model.query is not None and widget.model.query.data[0].any()
