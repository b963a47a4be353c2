"""How good masks from clicks and boxes are, and how long they take.

    python benchmarks/clicks.py [SHARED]

Two sets: frames of ../shared/videos whose objects were outlined by hand (``click_outlines.json``;
the constants were chosen on these), and the first and the middle frame of every clip folder of
../shared/clips (the constants were not chosen on these), its visible mask the truth. The first
click is in the middle of the object, further ones in the middle of the largest error; the box is
the mask's. Compared with plain GrabCut on the whole frame: the box as its rectangle, or a disc
around each click. Reported: IoU, and seconds at 1280x720 for a first click, a further one, a box.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from napari_amodal.annotation.clicking import mask_from_clicks
from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.masks import Mask, iou
from napari_amodal.stages import Clicks

#: From a frame, clicks and the mask before the last of them to the mask.
Method = Callable[[Frame, Clicks, Mask | None], Mask]
#: The frame of each video that was outlined.
OUTLINED_FRAME = 40


def plain_grab_cut(frame: Frame, clicks: Clicks, begin: Mask | None = None) -> Mask:
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
    scores, mask = [], None
    for _ in range(count):
        mask = method(frame, Clicks(tuple(inside), tuple(outside)), mask)
        scores.append(iou(mask, true))
        missing, extra = true & ~mask, mask & ~true
        if missing.sum() >= extra.sum() and missing.any():
            inside.append(middle_of(missing))
        elif extra.any():
            outside.append(middle_of(extra))
    return scores


def seconds(frame: Frame, clicks: Clicks, begin: Mask | None = None) -> float:
    """The least of three."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        mask_from_clicks(frame, clicks, begin)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def timed(frame: Frame, true: Mask) -> list[float]:
    """Seconds for a click, a further one and a box on the frame at 1280x720."""
    large = cv2.resize(frame, (1280, 720))
    down, across = 720 / frame.shape[0], 1280 / frame.shape[1]
    y, x = middle_of(true)
    point = (y * down, x * across)
    box = box_of(true)
    assert box is not None
    rows, columns = (round(box.y0 * down), round(box.y1 * down)), (box.x0, box.x1)
    boxed = Clicks(
        box=Box(rows[0], round(columns[0] * across), rows[1], round(columns[1] * across))
    )
    mask = mask_from_clicks(large, Clicks((point,)))
    further = Clicks((point,), ((4.0, 4.0),))
    return [
        seconds(large, Clicks((point,))),
        seconds(large, further, mask),
        seconds(large, boxed),
    ]


def outlined(shared: Path) -> Iterator[tuple[str, Frame, Mask]]:
    outlines = json.loads(Path(__file__).with_name("click_outlines.json").read_text())
    for name, outline in outlines.items():
        frame = open_clip(shared / "videos" / f"{name}.mp4").frame(OUTLINED_FRAME)
        mask = np.zeros(frame.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.array(outline, np.int32)], 1)
        yield name, frame, mask > 0


def masked(shared: Path) -> Iterator[tuple[str, Frame, Mask]]:
    for folder in sorted(path for path in (shared / "clips").iterdir() if path.is_dir()):
        opened = read_tabe51(folder)
        for at in (0, len(opened.clip) // 2):
            true = opened.visible.get(at)
            if true is not None and true.any():
                yield f"{folder.name} {at}", opened.clip.frame(at), true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("shared", nargs="?", type=Path, default=shared)
    args = parser.parse_args()
    for title, pictures in (("outlined", outlined(args.shared)), ("clips", masked(args.shared))):
        print(f"{title:28}{'ours: 1':>8}{'3':>6}{'5':>6}{'box':>6}{'plain: 1':>10}", end="")
        print(f"{'3':>6}{'5':>6}{'box':>6}   s: first, further, box")
        rows = []
        for name, frame, true in pictures:
            row: list[float] = []
            for method in (mask_from_clicks, plain_grab_cut):
                clicked = after_clicks(method, frame, true, 5)
                boxed = method(frame, Clicks(box=box_of(true)), None)
                row += [*clicked[::2], iou(boxed, true)]
            rows.append([*row, *timed(frame, true)])
            show(name, rows[-1])
        show("mean", np.mean(rows, axis=0).tolist())


def show(name: str, row: list[float]) -> None:
    scores = "".join(f"{score:6.2f}" for score in row[:8])
    print(f"{name:30}{scores}   " + " ".join(f"{taken:.3f}" for taken in row[8:]), flush=True)


if __name__ == "__main__":
    main()
