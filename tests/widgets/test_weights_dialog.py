"""The dialog of weights: it shows what is there, gets what is not, and stays free meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_amodal.weights import locate
from napari_amodal.weights.catalogue import CATALOGUE
from napari_amodal.widgets.weights_dialog import WeightsDialog
from weights.hub import Hub, network

SAM = "sam2.1-tiny"
needs_hub_library = pytest.mark.skipif(
    find_spec("huggingface_hub") is None, reason="fetching needs napari-amodal[gpu]"
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "store"


@pytest.fixture
def dialog(make_napari_viewer: Any, store: Path) -> WeightsDialog:
    """The dialog as the plugin's menu opens it."""
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Network weights")
    assert isinstance(widget, WeightsDialog)
    return widget


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub in the place of the library's own, with a network of 400 kB."""
    from huggingface_hub import constants

    hub = Hub()
    repository = CATALOGUE[SAM].source.page.removeprefix("https://huggingface.co/")
    hub.repositories[repository] = {"config.json": b"{}", "model.safetensors": network(400_000)}
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4000)
    yield hub
    hub.close()


def row(dialog: WeightsDialog, name: str) -> list[str]:
    (item,) = dialog.list.findItems(name, Qt.MatchFlag.MatchExactly, 0)
    return [item.text(column) for column in range(4)]


def answer(monkeypatch: pytest.MonkeyPatch, button: QMessageBox.StandardButton) -> list[str]:
    """Answer the question that comes; gives what was asked."""
    asked: list[str] = []

    def question(_parent: Any, _title: str, text: str) -> QMessageBox.StandardButton:
        asked.append(text)
        return button

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def wait(qtbot: Any, dialog: WeightsDialog) -> None:
    qtbot.waitUntil(lambda: not dialog.is_busy, timeout=30_000)


def test_it_shows_everything_and_what_is_accepted(dialog: WeightsDialog) -> None:
    assert dialog.list.topLevelItemCount() == len(CATALOGUE)
    for name, weight in CATALOGUE.items():
        assert row(dialog, name)[1] == "absent"
        dialog.choose(name)
        assert weight.licence.url in dialog.details.text()
        assert weight.source.page in dialog.details.text()
        assert all(stage in dialog.details.text() for stage in weight.stages)
    dialog.choose("cococo")
    assert not dialog.fetch_button.isEnabled() and dialog.import_button.isEnabled()


def test_a_folder_is_imported_and_checked(
    dialog: WeightsDialog,
    store: Path,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.json").write_text('{"model_type": "sam2_video"}')
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(own))
    dialog.choose(SAM)
    into, _files = dialog.import_button.menu().actions()

    into.trigger()
    wait(qtbot, dialog)
    assert "lacks model.safetensors" in said()[0] and row(dialog, SAM)[1] == "absent"

    (own / "model.safetensors").write_bytes(network())
    into.trigger()
    wait(qtbot, dialog)
    assert dialog.status.text() == f"{SAM} was imported" and row(dialog, SAM)[1] == "there"
    assert locate(SAM) == store / SAM and str(store) in dialog.details.text()

    qtbot.mouseClick(dialog.check_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dialog)
    assert dialog.status.text() == f"{SAM} is as it was stored"
    (own / "model.safetensors").write_bytes(network(seed=1))
    qtbot.mouseClick(dialog.check_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dialog)
    assert "other contents" in dialog.status.text()


@needs_hub_library
def test_fetching_asks_first(
    dialog: WeightsDialog, hub: Hub, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog.choose(SAM)
    asked = answer(monkeypatch, QMessageBox.StandardButton.No)
    qtbot.mouseClick(dialog.fetch_button, Qt.MouseButton.LeftButton)
    assert "156 MB" in asked[0] and "Apache-2.0" in asked[0]
    assert not dialog.is_busy and hub.asked == []

    answer(monkeypatch, QMessageBox.StandardButton.Yes)
    qtbot.mouseClick(dialog.fetch_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dialog)
    assert dialog.status.text() == f"{SAM} was fetched and checked"
    assert row(dialog, SAM)[1] == "there" and locate(SAM) is not None


@needs_hub_library
def test_a_fetch_is_cancelled_and_the_window_stays_free(
    dialog: WeightsDialog, hub: Hub, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.seconds_a_piece = 0.1
    answer(monkeypatch, QMessageBox.StandardButton.Yes)
    dialog.choose(SAM)
    began = time.monotonic()
    qtbot.mouseClick(dialog.fetch_button, Qt.MouseButton.LeftButton)
    assert time.monotonic() - began < 1 and dialog.is_busy
    qtbot.waitUntil(lambda: dialog.progress.value() > 20, timeout=30_000)
    assert not dialog.fetch_button.isEnabled() and "model.safetensors" in dialog.status.text()

    qtbot.mouseClick(dialog.cancel_button, Qt.MouseButton.LeftButton)
    began = time.monotonic()
    wait(qtbot, dialog)
    assert time.monotonic() - began < 2 and dialog.status.text().startswith("Stopped")
    assert locate(SAM) is None

    hub.seconds_a_piece = 0
    qtbot.mouseClick(dialog.fetch_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dialog)
    assert locate(SAM) is not None
    assert hub.ranges_of("model.safetensors")[1] is not None  # gone on with


@needs_hub_library
def test_a_hub_that_is_down_is_told(
    dialog: WeightsDialog,
    hub: Hub,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    hub.is_down = True
    answer(monkeypatch, QMessageBox.StandardButton.Yes)
    dialog.choose(SAM)
    qtbot.mouseClick(dialog.fetch_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dialog)
    assert any("could not be fetched" in message for message in said())
    assert dialog.fetch_button.isEnabled()
