"""A real viewer with the dock widget, and clips to work on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_amodal import registry
from napari_amodal.annotation.session_search import PLACE_VARIABLE
from napari_amodal.registry import ENGINES_GROUP, StageKind
from napari_amodal.widgets.completion_widget import CompletionWidget

_OURS = {
    StageKind.TRACKER: {"still": "StillTracker"},
    StageKind.REASONER: {"open": "OpenReasoner"},
    StageKind.COMPLETER: {"same": "SameCompleter", "lacking": "LackingCompleter"},
    ENGINES_GROUP: {"still": "STILL", "lacking": "LACKING"},
}


@pytest.fixture
def still_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the engines of `still_engine.py` to those that are installed."""
    found = registry._entry_points

    def with_ours(group: str) -> dict[str, EntryPoint]:
        ours = {
            name: EntryPoint(name, f"still_engine:{value}", str(group))
            for name, value in _OURS.get(group, {}).items()
        }
        return {**found(group), **ours}

    monkeypatch.setattr(registry, "_entry_points", with_ours)


@pytest.fixture
def open_widget(make_napari_viewer: Any, still_engine: None) -> Callable[[], CompletionWidget]:
    """Opens the dock widget in a new viewer, as the menu does."""

    def open_it() -> CompletionWidget:
        viewer = make_napari_viewer()
        _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
        assert isinstance(widget, CompletionWidget)
        return widget

    return open_it


@pytest.fixture
def frames() -> np.ndarray:
    """A bright square that moves over noise, uint8 ``(8, 48, 64, 3)``."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 90, (8, 48, 64, 3), dtype=np.uint8)
    for frame in range(8):
        frames[frame, 10:26, 8 + 4 * frame : 24 + 4 * frame] = (220, 60, 40)
    return frames


@pytest.fixture
def said() -> Callable[[], list[str]]:
    """The notifications that napari has shown since the test began."""
    before = len(notification_manager.records)
    return lambda: [record.message for record in notification_manager.records[before:]]


@pytest.fixture(autouse=True)
def sessions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own for all sessions, so that nothing lies beside shared clips."""
    folder = tmp_path_factory.mktemp("sessions")
    monkeypatch.setenv(PLACE_VARIABLE, str(folder))
    return folder
