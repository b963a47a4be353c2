"""How right the depth reasoner's levels, amounts and boxes are, beside the published code's.

    python benchmarks/occlusion.py ../shared [--clips FOLDER] [--only NAME]

Given the true visible masks and the clips' own depth/. Two tables: each clip, and all clips where
depth or masks are disturbed. Boxes are compared within the frame, over frames that are not
NO_OCCLUSION and have an amodal mask; levels over all frames. The row "mean" is over clips, the row
"all frames" over the frames of all clips together.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from napari_amodal.boxes import box_of
from napari_amodal.clip import Clip
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch
from napari_amodal.stages import Occlusion, VisibleTrack
from napari_amodal.tabe.depth_source import DepthFolder, DepthMap
from napari_amodal.tabe.occlusion import DepthReasoner, DepthSettings
from quality import Truth, read_truth

ChangeDepth = Callable[[DepthMap, np.random.Generator], DepthMap]
ChangeMask = Callable[[Mask, np.random.Generator], Mask]


@dataclass(frozen=True)
class Disturbance:
    """What is done to the input, and what it is called."""

    name: str
    depth: ChangeDepth = lambda depth, _: depth
    mask: ChangeMask = lambda mask, _: mask


@dataclass(frozen=True)
class DisturbedDepth:
    """The depth maps of a folder, disturbed."""

    folder: DepthFolder
    change: ChangeDepth

    def maps(self, clip: Clip, watch: Watch) -> Iterator[DepthMap]:
        rng = np.random.default_rng(1)
        return (self.change(depth, rng) for depth in self.folder.maps(clip, watch))


@dataclass(frozen=True)
class Figures:
    """What is measured on one clip; see the module."""

    level: float
    box: float
    amount_error: float
    milliseconds: float
    occluded: int


#: Depth of the object in the clips' own maps.
STAND_IN_OBJECT = 120


def noise(sigma: float) -> ChangeDepth:
    return lambda depth, rng: _bytes(depth + rng.normal(0, sigma, depth.shape))


def smooth_noise(sigma: float) -> ChangeDepth:
    """Blotches of a sixteenth of the frame's width, as networks make them."""

    def change(depth: DepthMap, rng: np.random.Generator) -> DepthMap:
        coarse = rng.normal(0, sigma, (9, 16))
        return _bytes(depth + cv2.resize(coarse, depth.shape[::-1], interpolation=cv2.INTER_CUBIC))

    return change


def blur(sigma: float) -> ChangeDepth:
    return lambda depth, _: cv2.GaussianBlur(depth, (0, 0), sigma)


def scale_and_shift(depth: DepthMap, rng: np.random.Generator) -> DepthMap:
    return _bytes(rng.uniform(0.4, 0.9) * depth + rng.uniform(0, 25))


def low_contrast(depth: DepthMap, rng: np.random.Generator) -> DepthMap:
    return _bytes(100 + 0.15 * depth)


def floor_below(truth: Truth) -> ChangeDepth:
    """A floor on which the object stands: at its depth there, nearer below, further above."""
    assert truth.amodal is not None
    foot = max(box.y1 for box in truth.amodal.boxes if box is not None)
    rows = np.arange(truth.visible.height, dtype=float)[:, None]

    def change(depth: DepthMap, rng: np.random.Generator) -> DepthMap:
        floor = STAND_IN_OBJECT * (1 + (rows - foot) / (foot - len(depth) / 6))
        return _bytes(np.where(depth < STAND_IN_OBJECT, np.maximum(depth, floor), depth))

    return change


def grown(pixels: int) -> ChangeMask:
    """Dilated, or eroded where `pixels` is negative."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return lambda mask, _: change(mask.view(np.uint8), element) > 0


def unsteady(mask: Mask, rng: np.random.Generator) -> Mask:
    """Another pixel more or less in each frame."""
    pixels = int(rng.integers(-1, 2))
    return grown(pixels)(mask, rng) if pixels else mask


def ragged(mask: Mask, rng: np.random.Generator) -> Mask:
    """An outline that is off by about two pixels, here more, there less."""
    inside = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 5)
    off = cv2.GaussianBlur(rng.normal(0, 1, mask.shape), (0, 0), 4)
    return inside - outside + 2 * off / off.std() > 0


def _bytes(depth: np.ndarray) -> DepthMap:
    return np.rint(depth).clip(0, 255).astype(np.uint8)


DISTURBANCES = (
    Disturbance("as given"),
    Disturbance("depth noise, 4", noise(4)),
    Disturbance("depth noise, 10", noise(10)),
    Disturbance("depth blotches, 6", smooth_noise(6)),
    Disturbance("depth blur, 2 px", blur(2)),
    Disturbance("depth blur, 5 px", blur(5)),
    Disturbance("scale and shift a frame", scale_and_shift),
    Disturbance("15 % of the contrast", low_contrast),
    Disturbance("masks 1 px smaller", mask=grown(-1)),
    Disturbance("masks 2 px smaller", mask=grown(-2)),
    Disturbance("masks 1 px larger", mask=grown(1)),
    Disturbance("masks 2 px larger", mask=grown(2)),
    Disturbance("masks 1 px more or less", mask=unsteady),
    Disturbance("ragged masks, 2 px", mask=ragged),
    Disturbance(
        "noise 4, blur 2, scale, ragged",
        lambda depth, rng: scale_and_shift(noise(4)(blur(2)(depth, rng), rng), rng),
        ragged,
    ),
)


def measure(truth: Truth, disturbance: Disturbance) -> Figures:
    clip = truth.folder.clip
    folder = DepthFolder.of(clip)
    assert folder is not None
    rng = np.random.default_rng(0)
    masks = [disturbance.mask(mask, rng) for mask in truth.visible]
    masks[truth.query.frame] = truth.visible[truth.query.frame]
    visible = MaskStack(masks, clip.height, clip.width)
    track = VisibleTrack(visible, np.ones(len(clip), np.float32))
    reasoner = DepthReasoner(DepthSettings(), DisturbedDepth(folder, disturbance.depth))
    started = time.process_time()
    found = reasoner.reason(clip, {1: truth.query}, {1: track}, Watch())[1]
    return figures(truth, found, 1000 * (time.process_time() - started) / len(clip))


def figures(truth: Truth, found: Occlusion, milliseconds: float) -> Figures:
    assert truth.amodal is not None and truth.folder.occlusion is not None
    overlaps, errors, right = [], [], []
    for frame, true in enumerate(truth.folder.occlusion):
        told = found.frames[frame]
        right.append(told.level == true.level)
        if true.amount is not None and told.amount is not None:
            errors.append(abs(true.amount - told.amount))
        whole = box_of(truth.amodal[frame])
        if true.level is not OcclusionLevel.NO_OCCLUSION and whole is not None:
            box = found.boxes[frame]
            inside = box.clipped(truth.visible.height, truth.visible.width) if box else None
            overlaps.append(inside.iou(whole) if inside else 0.0)
    box_iou = float(np.mean(overlaps)) if overlaps else float("nan")
    error = float(np.mean(errors))
    return Figures(float(np.mean(right)), box_iou, error, milliseconds, len(overlaps))


def print_clips(truths: Sequence[Truth], published: Mapping[str, Mapping[str, float]]) -> None:
    table = Table("clip", title="Depth reasoner, true visible masks, given depth")
    for column in ("level", "box IoU", "level, published", "box IoU, published", "amount, off by"):
        table.add_column(column, justify="right")
    table.add_column("CPU ms a frame", justify="right")
    rows, occluded = [], []
    for truth in truths:
        mine, theirs = measure(truth, DISTURBANCES[0]), published.get(truth.name, {})
        old = [theirs.get("level_accuracy", np.nan), theirs.get("occluded_box_iou", np.nan)]
        rows.append([mine.level, mine.box, *old, mine.amount_error, mine.milliseconds])
        occluded.append(mine.occluded)
        table.add_row(truth.name, *_cells(rows[-1]))
    frames = [len(truth.visible) for truth in truths]
    values = np.nan_to_num(np.transpose(rows))
    pooled = [
        np.average(column, weights=occluded if number in (1, 3) else frames)
        for number, column in enumerate(values)
    ]
    table.add_section()
    table.add_row("mean", *_cells(np.nanmean(rows, axis=0)))
    table.add_row("all frames", *_cells(pooled))
    Console(width=120).print(table)


def print_disturbed(truths: Sequence[Truth]) -> None:
    table = Table(
        "input", title="Means where the input is disturbed (the query frame's mask is not)"
    )
    for column in ("level", "lowest", "box IoU", "lowest", "amount, off by"):
        table.add_column(column, justify="right")
    ways: dict[str, Callable[[Truth], Disturbance]] = {
        one.name: lambda _, one=one: one for one in DISTURBANCES
    }
    ways["a floor under the object"] = lambda truth: Disturbance("floor", floor_below(truth))
    for name, way in ways.items():
        found = [measure(truth, way(truth)) for truth in truths]
        levels, boxes = [f.level for f in found], [f.box for f in found]
        error = np.mean([f.amount_error for f in found])
        row = [np.mean(levels), min(levels), np.nanmean(boxes), np.nanmin(boxes), error]
        table.add_row(name, *_cells(row))
    Console(width=120).print(table)


def _cells(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with clips/ and reference/")
    parser.add_argument("--clips", type=Path, help="another folder of clips")
    parser.add_argument("--only", default="", help="clips whose name has this in it")
    args = parser.parse_args()
    goldens = args.shared / "reference" / "pipeline_goldens.json"
    published = json.loads(goldens.read_text())["clips"]
    folders = sorted((args.clips or args.shared / "clips").iterdir())
    truths = [
        truth
        for path in folders
        if args.only in path.name and (path / "depth").is_dir() and (truth := read_truth(path))
    ]
    truths = [truth for truth in truths if truth.amodal is not None]
    print_clips(truths, published)
    print_disturbed(truths)


if __name__ == "__main__":
    main()
