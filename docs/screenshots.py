"""Make the pictures in docs/images from the real plugin.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_amodal.widgets.completion_widget import CompletionWidget

IMAGES = Path(__file__).parent / "images"
SIZE = (1500, 880)


def pump(seconds: float) -> None:
    """Let the window work for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.005)


def shoot(viewer: napari.Viewer, name: str) -> None:
    pump(0.6)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


def frame_with(widget: CompletionWidget, share: float) -> int:
    """The frame of the first object whose hidden share is nearest to `share`."""
    assert widget.model.results is not None
    results = widget.model.results
    object_id = results.object_ids[0]
    found = [results.occlusion(object_id, frame) for frame in range(results.grid.shape[0])]
    amounts = [np.inf if o is None or o.amount is None else abs(o.amount - share) for o in found]
    return int(np.argmin(amounts))


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    viewer.open_sample("napari-amodal", "sample")
    pump(1)
    widget.model.go_to(0)
    viewer.layers["query"].mode = "paint"
    viewer.reset_view()
    shoot(viewer, "plugin-query")

    widget.run_button.click()
    while widget.progress.value() < 350 and widget.model.is_busy:
        pump(0.05)
    shoot(viewer, "plugin-running")
    while widget.model.is_busy:
        pump(0.1)
    viewer.layers.selection.active = viewer.layers["amodal"]
    pump(2)  # the strip of levels fills in idle time
    widget.model.go_to(frame_with(widget, 0.6))
    shoot(viewer, "plugin-result")

    viewer.theme = "light"
    widget.settings_button.click()
    shoot(viewer, "plugin-light")
    viewer.close()


if __name__ == "__main__":
    main()
