"""A napari that paints until it is killed; run by test_session_in_window.

It opens a clip folder with the panel and paints the amodal mask of one frame after the other, as a
brush does. After each stroke it prints the frame.
"""

from __future__ import annotations

import sys

import napari
from qtpy.QtCore import QTimer


def main(folder: str) -> None:
    viewer = napari.Viewer()
    viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    viewer.open(folder, plugin="napari-amodal")
    amodal = viewer.layers["amodal"]
    amodal.brush_size = 5
    frames = iter(range(len(amodal.data)))

    def paint() -> None:
        frame = next(frames, None)
        if frame is None:
            timer.stop()
            return
        viewer.dims.set_point(0, frame)
        amodal.paint((frame, 6, 6), 1)
        print(frame, flush=True)

    timer = QTimer()
    timer.setInterval(250)
    timer.timeout.connect(paint)
    QTimer.singleShot(1500, timer.start)
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1])
