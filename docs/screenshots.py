"""Make the pictures in docs/images from the real plugin.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py [CLIP_FOLDER [FRAME]]

With the folder of a TABE-51 clip that has a query mask, ``air_hockey_1`` say, its result is
pictured, too, in ``air_hockey.png``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.frame_levels import known_occlusion

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
    path = IMAGES / f"{name}.png"
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    picture = cv2.imread(str(path))
    assert picture is not None
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def frame_with(widget: CompletionWidget, share: float) -> int:
    """The frame of the first object whose hidden share is nearest to `share`."""
    annotated = next(iter(widget.model.annotation.objects.values()))
    found = [known_occlusion(annotated, frame) for frame in range(len(annotated))]
    amounts = [np.inf if o is None or o.amount is None else abs(o.amount - share) for o in found]
    return int(np.argmin(amounts))


def open_panel() -> tuple[napari.Viewer, CompletionWidget]:
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    assert isinstance(widget, CompletionWidget)
    return viewer, widget


def wait_for_run(viewer: napari.Viewer, widget: CompletionWidget) -> None:
    while widget.model.is_busy:
        pump(0.1)
    viewer.layers.selection.active = viewer.layers["amodal"]
    pump(2)  # the strip of levels fills in idle time


def picture_clip(folder: Path, frame: int | None) -> None:
    """Run the draft from the query of a clip folder, and picture a frame."""
    viewer, widget = open_panel()
    viewer.open(folder, plugin="napari-amodal")
    pump(1)
    widget.run_button.click()
    wait_for_run(viewer, widget)
    widget.model.go_to(frame_with(widget, 0.5) if frame is None else frame)
    viewer.reset_view()
    shoot(viewer, "air_hockey")
    viewer.close()


def picture_sample() -> None:
    viewer, widget = open_panel()
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
    wait_for_run(viewer, widget)
    widget.model.go_to(frame_with(widget, 0.6))
    shoot(viewer, "plugin-result")

    viewer.theme = "light"
    widget.engines.settings_button.click()
    shoot(viewer, "plugin-light")
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures in docs/images.")
    parser.add_argument("clip", type=Path, nargs="?", help="a clip folder with a query mask")
    parser.add_argument("frame", type=int, nargs="?", help="the frame of it to show")
    chosen = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    picture_sample()
    if chosen.clip is not None:
        picture_clip(chosen.clip, chosen.frame)


if __name__ == "__main__":
    main()
