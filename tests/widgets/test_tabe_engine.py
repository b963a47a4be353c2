"""The engine `tabe` in a real viewer, driven as by an annotator; its networks tiny and random."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from tiny import write_weights  # noqa: E402
from tiny_sam2 import disc, moving_disc  # noqa: E402

from napari_amodal.formats.tabe51 import read_tabe51  # noqa: E402
from napari_amodal.progress import Progress  # noqa: E402
from napari_amodal.widgets.completion_widget import CompletionWidget  # noqa: E402

from .driving import choose_engine, mask, press_run, wait_until_idle  # noqa: E402

FRAMES = 6
QUICK = {"device": "cpu", "fit_steps": 2, "sampling_steps": 2, "hypotheses": 2, "cococo.size": 128}
Open = Callable[[], CompletionWidget]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def places(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(weights))
    monkeypatch.setenv("NAPARI_AMODAL_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks are slower on several threads
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def widget(open_widget: Open, qtbot: Any) -> CompletionWidget:
    """The panel over a clip with a painted disc, the engine chosen and made quick."""
    widget = open_widget()
    widget.model.viewer.add_image(moving_disc(FRAMES), name="disc")
    qtbot.waitUntil(lambda: widget.model.stack is not None)
    qtbot.mouseClick(widget.new_query, Qt.MouseButton.LeftButton)
    query = widget.model.query
    assert query is not None
    query.data[0][disc(0)] = 1
    query.refresh()
    choose_engine(widget, "tabe", **QUICK)
    return widget


def heard_by(widget: CompletionWidget) -> list[Progress]:
    heard: list[Progress] = []
    widget.model.progressed.connect(heard.append)
    return heard


def has_hypothesis(widget: CompletionWidget) -> bool:
    """Whether the layer *amodal* shows what was generated for a frame."""
    layers = widget.model.viewer.layers
    return "amodal" in layers and any(mask(layers["amodal"], t).any() for t in range(1, FRAMES))


def cancelled_within_two_seconds(widget: CompletionWidget, qtbot: Any) -> None:
    began = time.monotonic()
    qtbot.mouseClick(widget.cancel_button, Qt.MouseButton.LeftButton)
    wait_until_idle(qtbot, widget)
    assert time.monotonic() - began < 2
    assert widget.model.status.startswith("Cancelled"), widget.model.status


def test_run_and_export(
    widget: CompletionWidget,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    heard = heard_by(widget)
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert widget.model.status.startswith("Done: 1 object, 6 frames"), widget.model.status
    assert said() == []
    stages = list(dict.fromkeys(progress.stage for progress in heard))
    assert "Generating hidden parts" in stages
    fractions = [progress.fraction for progress in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1

    visible, amodal = (widget.model.viewer.layers[name] for name in ("visible", "amodal"))
    assert (mask(visible, 0) == disc(0)).all()
    for frame in range(FRAMES):
        assert not (mask(visible, frame) & ~mask(amodal, frame)).any()
    completion = widget.model.completion
    assert len(completion.objects[1].hypotheses) == 2
    assert completion.settings["cococo"]["fit_steps"] == 2

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    qtbot.mouseClick(widget.export_button, Qt.MouseButton.LeftButton)
    wait_until_idle(qtbot, widget)
    found = read_tabe51(tmp_path / "out" / "disc")
    assert found.provenance is not None and found.provenance["engine"]["name"] == "tabe"
    assert all((found.amodal[t] == mask(amodal, t)).all() for t in range(FRAMES))


def test_the_fit_shows_its_steps_and_is_cancelled(widget: CompletionWidget, qtbot: Any) -> None:
    choose_engine(widget, "tabe", **QUICK | {"fit_steps": 2000})
    heard = heard_by(widget)
    press_run(qtbot, widget)
    steps = lambda: {p.done for p in heard if p.stage == "Generating hidden parts"}  # noqa: E731
    qtbot.waitUntil(lambda: len(steps()) > 3, timeout=60_000)
    qtbot.waitUntil(lambda: " left" in widget.stage.text(), timeout=60_000)
    assert "Generating hidden parts" in widget.stage.text()
    assert 0 < widget.progress.value() < 1000
    cancelled_within_two_seconds(widget, qtbot)
    assert mask(widget.model.viewer.layers["visible"], FRAMES - 1).any()  # the track stays


def test_hypotheses_arrive_as_they_are_made_and_sampling_is_cancelled(
    widget: CompletionWidget, qtbot: Any
) -> None:
    choose_engine(widget, "tabe", **QUICK | {"fit_steps": 0, "hypotheses": 20})
    press_run(qtbot, widget)
    qtbot.waitUntil(lambda: has_hypothesis(widget), timeout=60_000)
    assert widget.model.is_busy  # the others are yet to come
    cancelled_within_two_seconds(widget, qtbot)
    assert has_hypothesis(widget)  # what had come stays
