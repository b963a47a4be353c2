"""Cut real objects out of the videos: boxes drawn by hand, GrabCut, and the tracker itself.

    python tracker_cutouts.py ../shared/videos cutouts.npz [--pictures DIR]

Each box of ``cutouts.csv`` (drawn by hand on 640 x 360 frames) becomes a mask by GrabCut (Rother et
al., SIGGRAPH 2004) and is followed both ways with the weights that are shipped, as long as the
tracker trusts its masks. The masks need not be right: composed clips take whatever was cut out for
the object, so that their truth is exact all the same.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from compose_banks import SHAPE_SIDE, centred, read_video
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from napari_amodal.draft.memory_follower import Follower
from napari_amodal.draft.memory_network import network

#: Frames to follow an object each way, and how far its masks are to be trusted.
REACH, TRUST = 16, 0.6


@dataclass(frozen=True)
class Wanted:
    video: str
    frame: int
    box: tuple[int, int, int, int]


def wanted(path: Path) -> list[Wanted]:
    with path.open() as file:
        return [
            Wanted(
                row["video"],
                int(row["frame"]),
                (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"])),
            )
            for row in csv.DictReader(file)
        ]


def grab(frame: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The object in a box ``x0 y0 x1 y1`` of a frame."""
    x0, y0, x1, y1 = box
    label = np.full(frame.shape[:2], cv2.GC_BGD, np.uint8)
    label[y0:y1, x0:x1] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), label, None, *models, 6, cv2.GC_INIT_WITH_MASK
    )
    mask = np.isin(label, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    sizes = np.where(np.arange(len(stats)) == 0, 0, stats[:, 4])
    return np.isin(labels, np.flatnonzero(sizes > 0.1 * sizes.max()))


def follow(
    frames: list[NDArray[np.uint8]], start: int, mask: NDArray[np.bool_]
) -> dict[int, NDArray]:
    """Masks by frame, both ways from `start`, as long as they are trusted."""
    found = {start: mask}
    for way in (1, -1):
        follower = Follower(network(), 256, 2)
        follower.start(frames[start], mask)
        for step in range(1, REACH + 1):
            at = start + way * step
            if not 0 <= at < len(frames):
                break
            sight = follower.step(frames[at])
            if sight.confidence < TRUST or not sight.mask.any():
                break
            found[at] = sight.mask
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each")
    args = parser.parse_args()
    here = Path(__file__).parent
    read: dict[str, list[NDArray[np.uint8]]] = {}
    shapes, sources, spans, videos = [], [], [], []
    for number, want in enumerate(wanted(here / "cutouts.csv")):
        if want.video not in read:
            read = {want.video: read_video(args.videos / f"{want.video}.mp4")}
        frames = read[want.video]
        masks = follow(frames, want.frame, grab(frames[want.frame], want.box))
        order = sorted(masks)
        height = frames[0].shape[0]
        for part in centred(np.stack([masks[t] for t in order]).astype(np.uint8), least=900):
            spans.append((sum(map(len, shapes)), len(part.shapes)))
            shapes.append(np.packbits(part.shapes > 127, axis=-1))
            videos += [want.video] * len(part.shapes)
            times = np.array(order)[part.frames]
            sources.append(np.column_stack([times, part.places / height]))
        print(number, want.video, len(masks), "frames", flush=True)
        if args.pictures:
            picture(frames, masks, args.pictures / f"{number:02d}_{want.video}.jpg")
    np.savez_compressed(
        args.out,
        shapes=np.concatenate(shapes),
        sources=np.concatenate(sources).astype(np.float32),
        spans=np.array(spans),
        videos=np.array(videos),
        side=SHAPE_SIDE,
    )


def picture(frames: list[NDArray[np.uint8]], masks: dict[int, NDArray], path: Path) -> None:
    """First, middle and last frame of a cut-out, dimmed but for the object."""
    order = sorted(masks)
    shown = []
    for t in (order[0], order[len(order) // 2], order[-1]):
        image = np.where(masks[t][..., None], frames[t], frames[t] // 4).astype(np.uint8)
        shown.append(cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.hstack(shown), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
