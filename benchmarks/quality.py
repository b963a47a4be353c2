"""How good and how fast an engine is on clips with ground truth, beside simple ways.

    python benchmarks/quality.py ../shared/clips [--engine draft] [--json FILE]

Clips without ``gt_masks/`` count for the visible masks only. Three tables: amodal masks given the
true visible masks, visible masks from the first frame's mask alone, and amodal masks from it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from baselines import interpolate_boxes, warp_by_flow
from napari_amodal.engine import ObjectCompletion, run
from napari_amodal.formats.tabe51 import Tabe51Clip, full_stack, read_tabe51
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack, iou
from napari_amodal.metrics import amodal_scores, visible_score
from napari_amodal.registry import Engine, find_engine
from napari_amodal.stages import Query

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Truth:
    """A clip with its ground truth."""

    name: str
    folder: Tabe51Clip
    visible: MaskStack
    amodal: MaskStack | None
    levels: tuple[OcclusionLevel, ...]

    @property
    def query(self) -> Query:
        return Query({0: self.visible[0]})

    def amodal_figures(self, predicted: MaskStack) -> Figures:
        assert self.amodal is not None
        scores = amodal_scores(predicted, self.amodal, self.visible, self.levels)
        return {
            "mIOU": scores.all_frames,
            "mIOUfo": scores.occluded,
            "mIOUffo": scores.fully_occluded,
            "mIOUocc": scores.hidden_part,
        }


def read_truth(path: Path) -> Truth | None:
    """A clip that has a visible mask for every frame; None for others."""
    folder = read_tabe51(path)
    if len(folder.visible) < len(folder.clip):
        return None
    visible = full_stack(folder.visible, folder.clip, "visible_masks")
    if len(folder.amodal) < len(folder.clip) or folder.occlusion is None:
        return Truth(path.name, folder, visible, None, ())
    amodal = full_stack(folder.amodal, folder.clip, "gt_masks")
    levels = tuple(frame.level for frame in folder.occlusion)
    return Truth(path.name, folder, visible, amodal, levels)


def given_visible(truth: Truth, engine: Engine) -> dict[str, Figures]:
    """Amodal figures of the simple ways and of the engine, given the true visible masks."""
    clip = truth.folder.clip
    found = run(clip, {1: truth.query}, engine, visible={1: truth.visible}).objects[1]
    levels = [frame.level for frame in found.occlusion.frames]
    return {
        "the visible masks": truth.amodal_figures(truth.visible),
        "box interpolation": truth.amodal_figures(interpolate_boxes(truth.visible, truth.levels)),
        engine.name: {
            **truth.amodal_figures(found.amodal),
            "level": float(np.mean([a == b for a, b in zip(levels, truth.levels, strict=True)])),
        },
    }


def from_query(truth: Truth, engine: Engine) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Visible and amodal figures from the first frame's mask alone, with the speed."""
    clip = truth.folder.clip
    started = time.perf_counter()
    found = run(clip, {1: truth.query}, engine).objects[1]
    seconds = time.perf_counter() - started
    warped = warp_by_flow(clip, truth.visible[0])
    visible: dict[str, Figures] = {
        "flow warping": {"J": visible_score(warped, truth.visible, [0])},
        engine.name: {
            "J": visible_score(found.track.masks, truth.visible, [0]),
            "confidence": _confidence_rank(truth, found),
            "frames/s": len(clip) / seconds,
        },
    }
    if truth.amodal is None:
        return visible, {}
    return visible, {engine.name: truth.amodal_figures(found.amodal)}


def _confidence_rank(truth: Truth, found: ObjectCompletion) -> float | None:
    """Rank correlation of the confidence with the true IoU, over all frames but the query's."""
    frames = range(1, len(truth.visible))
    scores = [
        iou(found.track.masks[t], truth.visible[t])
        if truth.visible.boxes[t]
        else float(found.track.masks.boxes[t] is None)
        for t in frames
    ]
    rank = spearmanr(scores, found.track.confidence[1:]).statistic
    return float(rank) if np.isfinite(rank) else None


def mean_of(rows: Sequence[Figures]) -> Figures:
    """The mean of each figure over the clips that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    means: Figures = {}
    for name in names:
        values = [value for row in rows if (value := row.get(name)) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means


def print_table(title: str, clips: Mapping[str, Mapping[str, Figures]]) -> None:
    """A row a clip and way, then the means."""
    ways = list(dict.fromkeys(way for rows in clips.values() for way in rows))
    means = {way: mean_of([rows[way] for rows in clips.values() if way in rows]) for way in ways}
    columns = list(dict.fromkeys(name for row in means.values() for name in row))
    table = Table("clip", "way", *columns, title=title)
    for clip, rows in (*clips.items(), ("mean", means)):
        table.add_section()
        for way, row in rows.items():
            cells = ("-" if (v := row.get(name)) is None else f"{v:.3f}" for name in columns)
            table.add_row(clip, way, *cells)
    Console(width=110).print(table)


def measure(truths: Sequence[Truth], engine: Engine) -> dict[str, dict[str, dict[str, Figures]]]:
    """All figures: table to clip to way to figure."""
    composed = [truth for truth in truths if truth.amodal is not None]
    given = {truth.name: given_visible(truth, engine) for truth in composed}
    both = {truth.name: from_query(truth, engine) for truth in truths}
    visible = {name: rows[0] for name, rows in both.items()}
    return {
        "amodal masks, given the true visible masks": given,
        "visible masks, from the query alone": {t.name: visible[t.name] for t in composed},
        "visible masks, from the query alone (real occlusion)": {
            name: rows for name, rows in visible.items() if name not in given
        },
        "amodal masks, from the query alone": {t.name: both[t.name][1] for t in composed},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of clips in the TABE-51 layout")
    parser.add_argument("--engine", default="draft")
    parser.add_argument("--only", default="", help="clips whose name has this in it")
    parser.add_argument("--json", type=Path, help="write all figures to this file, too")
    args = parser.parse_args()
    folders = sorted(path for path in args.clips.iterdir() if args.only in path.name)
    truths = [truth for path in folders if (truth := read_truth(path)) is not None]
    tables = measure(truths, find_engine(args.engine))
    for title, clips in tables.items():
        if clips:
            print_table(title, clips)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{os.cpu_count()} cores, peak memory {peak:.0f} MiB")
    if args.json:
        args.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
