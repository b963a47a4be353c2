"""Opening the panel *Amodal completion* from elsewhere than the menu."""

from __future__ import annotations

from napari import current_viewer
from qtpy.QtCore import QTimer

PANEL = "Amodal completion"


def open_panel_soon() -> None:
    """Open the panel in the current viewer once napari has added the layers that it is adding."""
    viewer = current_viewer()
    if viewer is not None and getattr(viewer, "window", None) is not None:
        QTimer.singleShot(0, lambda: viewer.window.add_plugin_dock_widget("napari-amodal", PANEL))
