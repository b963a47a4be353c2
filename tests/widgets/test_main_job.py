"""The main job in a real viewer, with the draft engine: open, paint, run, correct, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_amodal.export import Origin
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.widgets.completion_widget import CompletionWidget

from .driving import brush, choose_engine, mask, run_to_its_end, wait_until_idle


def test_open_paint_run_edit_export_read_back(
    open_widget: Callable[[], CompletionWidget],
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    widget = open_widget()
    viewer = widget.model.viewer
    image, sample_query = viewer.open_sample("napari-amodal", "sample")
    image.data = image.data[:12]  # a dozen frames will do
    viewer.layers.remove(sample_query)
    truth = np.asarray(sample_query.data[0]) != 0
    qtbot.waitUntil(lambda: widget.model.stack is image)

    qtbot.mouseClick(widget.new_query, Qt.MouseButton.LeftButton)
    query = widget.model.query
    assert query is not None and query.mode == "paint" and query.data.shape == (12, 360, 640)
    rows, columns = np.nonzero(truth)
    y, x = rows.mean(), columns.mean()
    query.brush_size = 60
    brush(viewer, query, [(0, y, x - 30), (0, y, x), (0, y, x + 30)])
    assert mask(query, 0).sum() > 3000

    choose_engine(widget, "draft")
    run_to_its_end(qtbot, widget)
    visible, amodal = viewer.layers["visible"], viewer.layers["amodal"]
    assert (mask(visible, 0) == mask(query, 0)).all()  # the painted frame is the annotator's
    assert all(mask(amodal, frame).any() for frame in range(12))

    viewer.dims.set_point(0, 5)
    amodal.brush_size = 40
    brush(viewer, amodal, [(5, 40, 40), (5, 60, 60)])
    qtbot.waitUntil(lambda: "% hidden" in widget.occlusion.text(1))

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    qtbot.mouseClick(widget.export_button, Qt.MouseButton.LeftButton)
    wait_until_idle(qtbot, widget)
    assert widget.model.status.startswith("Exported"), said()

    found = read_tabe51(tmp_path / "coffee")
    assert len(found.clip) == 12 and found.provenance is not None
    for frame in range(12):
        assert (found.visible[frame] == mask(visible, frame)).all()
        assert (found.amodal[frame] == mask(amodal, frame)).all()
    records = found.provenance["frames"]
    assert records[5]["amodal"] == Origin.EDITED and records[0]["visible"] == Origin.QUERY
    assert [r["amodal"] for r in records].count("edited") == 1
    assert found.provenance["engine"]["name"] == "draft"
    assert said() == []
