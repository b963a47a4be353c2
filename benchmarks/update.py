"""How fast an update from corrections is, and what a correction gains.

    python benchmarks/update.py [--clip CLIP_FOLDER] [--frames 40] [--engine draft]

The clip is run from its first mask. Then the frame whose amodal mask is worst against the truth is
corrected with it (the middle one where there is no truth), locked and updated from. Reported: the
time until the first mask that differs from before arrives, and until the end; and over the other
frames the mean IoU with the true visible and amodal masks, before, after the update, and after
a whole run with the same correction.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.object_annotation import (
    ObjectAnnotation,
    completed,
    corrected,
    with_query,
)
from napari_amodal.annotation.update import update
from napari_amodal.clip import Clip
from napari_amodal.engine import run
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.masks import Mask, MaskStack, iou
from napari_amodal.progress import Progress
from napari_amodal.registry import Engine, find_engine


def stack_of(masks: Mapping[int, Mask], clip: Clip) -> MaskStack | None:
    if not all(frame in masks for frame in range(len(clip))):
        return None
    return MaskStack((masks[frame] for frame in range(len(clip))), clip.height, clip.width)


def mean_iou(found: MaskStack, true: MaskStack | None, without: int) -> float:
    if true is None:
        return float("nan")
    frames = [f for f in range(len(found)) if f != without and true.boxes[f] is not None]
    return float(np.mean([iou(found[frame], true[frame]) for frame in frames]))


def after_run(clip: Clip, annotated: ObjectAnnotation, engine: Engine) -> ObjectAnnotation:
    found = run(clip, {1: annotated.painted}, engine).objects[1]
    return completed(annotated, found, tracked=True)


def timed_update(
    clip: Clip, state: ClipAnnotation, frame: int, engine: Engine
) -> tuple[ObjectAnnotation, float, float, float]:
    """The object afterwards; seconds to the first changed mask and to the end; CPU seconds."""
    before = state.objects[1]
    first: list[float] = []
    begun, cpu = time.perf_counter(), time.process_time()

    def heard(progress: Progress) -> None:
        told = progress.mask
        if told is None or first:
            return
        stack = before.visible if told.kind == "visible" else before.amodal
        if not np.array_equal(stack[told.frame], told.mask):
            first.append(time.perf_counter() - begun)

    found = update(clip, state, 1, [frame], engine, on_progress=heard)
    seconds = time.perf_counter() - begun
    locked_same = found.after.visible.same_frame(before.visible, frame)
    assert locked_same and found.after.amodal.same_frame(before.amodal, frame)
    return found.after, first[0] if first else float("nan"), seconds, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(__file__).resolve().parents[2] / "shared" / "clips"
    parser.add_argument("--clip", type=Path, default=shared / "car_behind_man")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--engine", default="draft")
    args = parser.parse_args()
    opened, engine = read_tabe51(args.clip), find_engine(args.engine)
    count = min(args.frames, len(opened.clip))
    clip = Clip(opened.clip.name, opened.clip.frames[:count])
    visible, amodal = stack_of(opened.visible, clip), stack_of(opened.amodal, clip)
    state, _ = with_new_object(ClipAnnotation((count, clip.height, clip.width)))
    asked = with_query(state.objects[1], 0, opened.visible[0])
    first = after_run(clip, asked, engine)

    frame = count // 2
    if amodal is not None:
        scores = [iou(first.amodal[at], amodal[at]) for at in range(count)]
        frame = 1 + int(np.argmin(scores[1:]))
    mended = corrected(
        first,
        {} if visible is None else {frame: visible[frame]},
        {} if amodal is None else {frame: amodal[frame]},
    )
    if frame not in mended.locked:
        shifted = np.roll(first.visible[frame], 3, axis=1)
        mended = corrected(first, {frame: shifted}, {})
    state = with_object(state, 1, mended)
    after, to_first, to_end, cpu = timed_update(clip, state, frame, engine)
    again = after_run(clip, mended, engine)
    load = os.getloadavg()[0]
    print(f"{clip.name}: {count} frames of {clip.width}x{clip.height}, frame {frame} corrected")
    print(f"first changed frame after {to_first:.2f} s, end after {to_end:.2f} s", end="")
    print(f" ({cpu:.1f} s of CPU; load of the machine {load:.1f})")
    print(f"{'mean IoU':24}{'visible':>9}{'amodal':>9}")
    for name, found in (("first run", first), ("update", after), ("whole run again", again)):
        figures = mean_iou(found.visible, visible, frame), mean_iou(found.amodal, amodal, frame)
        print(f"{name:24}{figures[0]:9.3f}{figures[1]:9.3f}")


if __name__ == "__main__":
    main()
