"""Pairs of reasoner and completer beside each other on clips with ground truth.

    python benchmarks/completers.py ../shared/clips outline+shape aligned+aligned [--tracker memory]

Given the true visible masks, or those of a tracker from the first frame's mask.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_amodal.draft import drawn_stages
from napari_amodal.draft.flow_tracker import FlowTracker
from napari_amodal.draft.memory_tracker import MemoryTracker
from napari_amodal.draft.occlusion import OutlineReasoner
from napari_amodal.draft.shape_completer import ShapeCompleter
from napari_amodal.progress import Watch
from napari_amodal.stages import VisibleTrack
from quality import Truth, read_truth

TRACKERS = {"memory": MemoryTracker, "flow": FlowTracker}
REASONERS = {
    "outline": OutlineReasoner,
    "aligned": drawn_stages.AlignedReasoner,
    "learned": drawn_stages.LearnedReasoner,
}
COMPLETERS = {
    "shape": ShapeCompleter,
    "aligned": drawn_stages.AlignedCompleter,
    "learned": drawn_stages.LearnedCompleter,
}


def measure(truth: Truth, pair: str, tracks: Mapping[int, VisibleTrack]) -> list[float]:
    """mIOU, mIOUffo, mIOUocc, level accuracy and milliseconds a frame."""
    first, second = pair.split("+")
    reasoner, completer = REASONERS[first], COMPLETERS[second]
    clip, queries = truth.folder.clip, {1: truth.query}
    started = time.perf_counter()
    told = reasoner(reasoner.settings_type()).reason(clip, queries, tracks, Watch())
    drawn = completer(completer.settings_type()).complete(clip, queries, tracks, told, Watch())
    took = 1000 * (time.perf_counter() - started) / len(clip)
    figures = truth.amodal_figures(drawn[1][0].amodal)
    pairs = zip(told[1].frames, truth.levels, strict=True)
    level = float(np.mean([frame.level == level for frame, level in pairs]))
    masks = [figures[name] for name in ("mIOU", "mIOUffo", "mIOUocc")]
    return [np.nan if value is None else value for value in masks] + [level, took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="REASONER+COMPLETER")
    parser.add_argument("--tracker", choices=TRACKERS)
    args = parser.parse_args()
    found = [read_truth(path) for path in sorted(args.clips.iterdir())]
    truths = [truth for truth in found if truth is not None and truth.amodal is not None]
    rows: dict[str, list[list[float]]] = {pair: [] for pair in args.pairs}
    table = Table("clip", "stages", "mIOU", "mIOUffo", "mIOUocc", "level", "ms a frame")
    for truth in truths:
        clip = truth.folder.clip
        tracks = {1: VisibleTrack(truth.visible, np.ones(len(clip), np.float32))}
        if args.tracker:
            kind = TRACKERS[args.tracker]
            tracks = dict(kind(kind.settings_type()).track(clip, {1: truth.query}, Watch()))
        for pair in args.pairs:
            rows[pair].append(measure(truth, pair, tracks))
            table.add_row(truth.name, pair, *(f"{value:.3f}" for value in rows[pair][-1]))
    table.add_section()
    for pair in args.pairs:
        table.add_row("mean", pair, *(f"{value:.3f}" for value in np.nanmean(rows[pair], axis=0)))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
