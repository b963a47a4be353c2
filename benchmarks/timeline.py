"""Whether the timeline stays quick on long clips.

    xvfb-run -a python benchmarks/timeline.py [--frames 10000] [--objects 4]

Times of one session on one machine, medians in milliseconds: drawing all columns anew (once a
change), a step (the picture that is there, and the line), and as the baseline an empty widget.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import napari
import numpy as np
from qtpy.QtWidgets import QWidget

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.history import History
from napari_amodal.clip import clip_from_array
from napari_amodal.widgets.completion_widget import CompletionWidget


def median_ms(call: Callable[[], object], times: int = 30) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--objects", type=int, default=4)
    args = parser.parse_args()
    viewer = napari.Viewer(show=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-amodal", "Amodal completion")
    assert isinstance(widget, CompletionWidget)
    state = ClipAnnotation((args.frames, 8, 8))
    random = np.random.default_rng(0)
    for _ in range(args.objects):
        state, object_id = with_new_object(state)
        found = replace(
            state.objects[object_id],
            confidence=tuple(random.random(args.frames).tolist()),
            locked=frozenset(random.integers(0, args.frames, 200).tolist()),
        )
        state = with_object(state, object_id, found)
    clip = clip_from_array(np.zeros((2, 8, 8, 3), np.uint8))
    widget.model.annotation.open(clip, History.begin(state))
    timeline, facts = widget.around.timeline, widget.around.facts
    timeline.resize(1366, 120)
    empty = QWidget()
    empty.resize(1366, 120)
    timeline.grab()

    def change() -> None:
        facts._on_frames(1, frozenset({5}))
        facts._look()
        timeline._draw()

    whole = median_ms(change)
    step, bare = median_ms(timeline.grab), median_ms(empty.grab)
    print(f"{args.frames} frames, {args.objects} objects at 1366 pixels, ms:")
    print(f"a change, drawn anew {whole:.2f}   a step {step:.2f}   an empty widget {bare:.2f}")


if __name__ == "__main__":
    main()
