"""How good masks from clicks and boxes are, and how long they take.

    python benchmarks/clicks.py [CLIPS]

For the first frame of every clip folder under CLIPS (../shared/clips) its visible mask is the
truth. The first click is in the middle of the object, further ones in the middle of the largest
error; the box is the mask's. Compared with plain GrabCut on the whole frame: the box as its
rectangle, or a disc around each click. Reported: IoU, and the time with 1080 rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from napari_amodal.annotation.clicking import mask_from_clicks
from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.masks import Mask, iou
from napari_amodal.stages import Clicks

Method = Callable[[Frame, Clicks], Mask]


def plain_grab_cut(frame: Frame, clicks: Clicks) -> Mask:
    models = np.zeros((1, 65)), np.zeros((1, 65))
    height, width = frame.shape[:2]
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    cv2.setRNGSeed(0)
    if clicks.box is not None:
        box = clicks.box
        sides = (box.x0, box.y0, box.width, box.height)
        cv2.grabCut(frame, labels, sides, *models, 5, cv2.GC_INIT_WITH_RECT)
    else:
        for points, probable, sure in (
            (clicks.inside, cv2.GC_PR_FGD, cv2.GC_FGD),
            (clicks.outside, cv2.GC_PR_BGD, cv2.GC_BGD),
        ):
            for label, radius in ((probable, 0.1 * height), (sure, 0.02 * height)):
                for y, x in points:
                    cv2.circle(labels, (int(x), int(y)), int(radius), int(label), -1)
        cv2.grabCut(frame, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def middle_of(mask: Mask) -> tuple[float, float]:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(np.pad(mask, 1).view(np.uint8))
    part = parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    depth = cv2.distanceTransform(part.view(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y) - 0.5, float(x) - 0.5


def after_clicks(method: Method, frame: Frame, true: Mask, count: int) -> list[float]:
    """IoU after each of `count` clicks."""
    inside, outside = [middle_of(true)], list[tuple[float, float]]()
    scores = []
    for _ in range(count):
        mask = method(frame, Clicks(tuple(inside), tuple(outside)))
        scores.append(iou(mask, true))
        missing, extra = true & ~mask, mask & ~true
        if missing.sum() >= extra.sum() and missing.any():
            inside.append(middle_of(missing))
        elif extra.any():
            outside.append(middle_of(extra))
    return scores


def seconds(frame: Frame, clicks: Clicks) -> float:
    """The least of three."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        mask_from_clicks(frame, clicks)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def timed(frame: Frame, true: Mask) -> tuple[float, float]:
    """Seconds for a click and for a box on the frame with 1080 rows."""
    scale = 1080 / frame.shape[0]
    large = cv2.resize(frame, None, fx=scale, fy=scale)
    y, x = middle_of(true)
    box = box_of(true)
    assert box is not None
    sides = (round(side * scale) for side in (box.y0, box.x0, box.y1, box.x1))
    click, boxed = Clicks(((y * scale, x * scale),)), Clicks(box=Box(*sides))
    return seconds(large, click), seconds(large, boxed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(__file__).resolve().parents[2] / "shared" / "clips"
    parser.add_argument("clips", nargs="?", type=Path, default=shared)
    args = parser.parse_args()
    print(f"{'':26}{'ours: 1':>8}{'3':>6}{'box':>6}{'plain: 1':>10}{'3':>6}{'box':>6}", end="")
    print("   click, box (s, 1080p)")
    rows = []
    for folder in sorted(path for path in args.clips.iterdir() if path.is_dir()):
        opened = read_tabe51(folder)
        frame, true = opened.clip.frame(0), opened.visible[0]
        row: list[float] = []
        for method in (mask_from_clicks, plain_grab_cut):
            clicked = after_clicks(method, frame, true, 3)
            row += [clicked[0], clicked[2], iou(method(frame, Clicks(box=box_of(true))), true)]
        rows.append([*row, *timed(frame, true)])
        show(folder.name, rows[-1])
    show("mean", np.mean(rows, axis=0).tolist())


def show(name: str, row: list[float]) -> None:
    print(f"{name:26}{row[0]:8.2f}{row[1]:6.2f}{row[2]:6.2f}{row[3]:10.2f}{row[4]:6.2f}", end="")
    print(f"{row[5]:6.2f}   {row[6]:.3f} {row[7]:.3f}", flush=True)


if __name__ == "__main__":
    main()
