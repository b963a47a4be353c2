"""Whether the window stays quick: brush strokes during a run, holds of the main thread, stepping.

    xvfb-run -a python benchmarks/ui.py [--frames 1000] [--height 1080] [--width 1920]

All in one session on one machine; what counts are the ratios.

* *stroke*: a brush stroke of 20 moves on the amodal layer of a stack of 1080p, the median time of
  its events with the redrawing, without a run and during one.
* *held*: the longest times that our own timers and slots held the main thread. Making a layer is
  napari's work (two an object, one a turn) and told apart.
* *stepping*: frames a second when the viewer goes through the stack, bare and with all layers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("NAPARI_AMODAL_SESSIONS", tempfile.mkdtemp(prefix="napari-amodal-ui-"))

import dask.array as da
import napari
import numpy as np
from napari.layers import Labels
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.events import Event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_amodal.annotation.clip_annotation import with_object
from napari_amodal.export import Origin
from napari_amodal.masks import PackedMask
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.frame_levels import FrameLevels
from napari_amodal.widgets.job_control import JobControl
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.mask_layers import MaskLayers
from napari_amodal.widgets.session_keeper import SessionKeeper

MOVES = 20


def moving_picture(count: int, height: int, width: int) -> da.Array:
    """A view that goes over a large picture, cut out when it is shown, uint8 RGB."""
    picture = np.random.default_rng(0).integers(0, 255, (height, width + 256, 3), np.uint8)

    def frame(block_info: Any = None) -> np.ndarray:
        at = block_info[None]["chunk-location"][0] % 256
        return picture[None, :, at : at + width]

    chunks = ((1,) * count, (height,), (width,), (3,))
    return da.map_blocks(frame, chunks=chunks, dtype=np.uint8)


def disk(at: int, rows: np.ndarray, columns: np.ndarray, count: int) -> np.ndarray:
    height, width = rows.shape
    x = width * (0.2 + 0.6 * at / count)
    return (rows - height / 2) ** 2 + (columns - x) ** 2 < (height / 6) ** 2


class Holds:
    """How long our own slots hold the main thread."""

    def __init__(self) -> None:
        self.longest: dict[str, tuple[float, float]] = {}
        self.is_on = False
        self._naparis = np.zeros(2)  # time inside of napari's own adding of layers

    def watch(self, owner: type, name: str, *, is_naparis: bool = False) -> None:
        """Time every call of a method; what is napari's does not count for those around it."""
        where = f"{owner.__name__}.{name}"
        method = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            before, naparis = now(), self._naparis.copy()
            try:
                return method(*args, **named)
            finally:
                spent = now() - before
                if is_naparis:
                    self._naparis += spent
                    naparis = self._naparis
                took = tuple(spent - (self._naparis - naparis))
                known = self.longest.get(where, (0.0, 0.0))
                if self.is_on and took > known:
                    self.longest[where] = took

        setattr(owner, name, timed)


def now() -> np.ndarray:
    """Wall clock and CPU time of the main thread."""
    return np.array([time.perf_counter(), time.thread_time()])


def turn(seconds: float = 0.0) -> None:
    """Let the event loop turn, once or for some time."""
    until = time.perf_counter() + seconds
    while True:
        QApplication.processEvents()
        if time.perf_counter() >= until:
            return
        time.sleep(0.002)


def wait_until(told: Callable[[], bool], seconds: float = 600.0) -> None:
    until = time.monotonic() + seconds
    while not told() and time.monotonic() < until:
        turn(0.02)


def stroke(viewer: napari.Viewer, layer: Labels, frame: int, row: float) -> float:
    """Seconds that a stroke takes, its drawing included."""
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    width = layer.data.shape[2]
    begun = time.perf_counter()
    for move in range(MOVES):
        position = (frame, row, width * (0.3 + 0.4 * move / MOVES))
        if move == 0:
            mouse_press_callbacks(layer, mouse("mouse_press", viewer, position))
        mouse_move_callbacks(layer, mouse("mouse_move", viewer, position))
        QApplication.processEvents()
    mouse_release_callbacks(layer, mouse("mouse_release", viewer, position))
    QApplication.processEvents()
    return time.perf_counter() - begun


def mouse(kind: str, viewer: napari.Viewer, position: tuple[float, ...]) -> Any:
    event = Event(
        type_name=kind,
        is_dragging=kind == "mouse_move",
        button=1,
        modifiers=[],
        position=position,
        view_direction=None,
        up_direction=None,
        dims_displayed=list(viewer.dims.displayed),
        dims_point=list(viewer.dims.point),
    )
    return ReadOnlyWrapper(event, exceptions=("handled",))


def strokes(
    viewer: napari.Viewer, layer: Labels, count: int, wanted: int, row: float = 200
) -> float:
    """The median time of a stroke, each on another frame."""
    times = []
    for number in range(wanted):
        frame = (37 * number + 11) % count
        viewer.dims.set_point(0, frame)
        turn(0.15)
        times.append(stroke(viewer, layer, frame, row + 10 * number))
        turn(0.15)
    return statistics.median(times)


def stepping(viewer: napari.Viewer, frames: range) -> float:
    """Frames a second."""
    begun = time.perf_counter()
    for frame in frames:
        viewer.dims.set_point(0, frame)
        QApplication.processEvents()
    return len(frames) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--strokes", type=int, default=12)
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    shape = (args.frames, args.height, args.width)
    holds = Holds()
    for owner, names in (
        (MaskLayers, ("_catch_up", "_hear", "_on_frames_changed", "show_frame")),
        (FrameLevels, ("_look",)),
        (SessionKeeper, ("_look",)),
        (JobControl, ("_tick",)),
        (CompletionWidget, ("_update", "_show_occlusion", "_show_strip")),
    ):
        for name in names:
            holds.watch(owner, name)
    holds.watch(MaskLayers, "_add", is_naparis=True)
    for name in ("_on_frames_changed", "_on_step"):
        holds.watch(CompletionModel, name)

    viewer = napari.Viewer()
    stack = viewer.add_image(moving_picture(*shape), rgb=True, name="clip", cache=False)
    turn(1)
    steps = range(min(args.steps, args.frames))
    bare = stepping(viewer, steps)

    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    model = widget.model
    wait_until(lambda: model.stack is stack)
    widget.new_query.click()
    rows, columns = np.mgrid[: args.height, : args.width]
    masks = {at: disk(at, rows, columns, args.frames) for at in range(args.frames)[::10]}
    packed = {at: PackedMask.of(mask) for at, mask in masks.items()}
    annotation = model.annotation
    annotation.paint(1, LayerRole.QUERY, {0: masks[0]})
    state = annotation.state
    stacks = {at: packed[at - at % 10] for at in range(args.frames)}
    filled = annotation.objects[1]
    filled = replace(
        filled,
        visible=filled.visible.with_packed(stacks),
        amodal=filled.amodal.with_packed(stacks),
        visible_origin=(Origin.TRACKED,) * args.frames,
        amodal_origin=(Origin.COMPLETED,) * args.frames,
        confidence=(0.9,) * args.frames,
    )
    holds.is_on = True
    annotation.apply("Masks", with_object(state, 1, filled))
    wait_until(lambda: model.layers.is_up_to_date and len(model.layers.layers) == 2)
    turn(3)
    full = stepping(viewer, steps)
    print(f"stepping: bare {bare:.1f}/s, all layers {full:.1f}/s, ratio {full / bare:.2f}")

    amodal = model.layers.get(LayerRole.AMODAL, 1).layer
    amodal.brush_size = 30
    quiet = strokes(viewer, amodal, args.frames, args.strokes)
    model.viewer.dims.set_point(0, 0)
    widget.run_button.click()
    wait_until(lambda: model.run is not None and bool(model.run.found.frames), 120)
    busy = strokes(viewer, amodal, args.frames, args.strokes, row=600)
    came = len(model.run.found.frames) if model.run is not None else -1
    print(f"stroke: {1000 * quiet:.0f} ms without a run, {1000 * busy:.0f} ms during one, ", end="")
    print(f"ratio {busy / quiet:.2f} ({came} frames had come)")
    print("longest holds (wall, CPU of the main thread); MaskLayers._add is napari's own work:")
    for where, (wall, cpu) in sorted(holds.longest.items(), key=lambda one: -one[1][0])[:8]:
        print(f"  {1000 * wall:6.0f} ms {1000 * cpu:6.0f} ms  {where}")
    model.cancel()
    wait_until(lambda: not model.is_busy, 60)
    QTimer.singleShot(0, viewer.close)
    turn(1)


if __name__ == "__main__":
    main()
