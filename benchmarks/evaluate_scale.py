"""Evaluating a large set: clips a second, memory, and what share is PNG decoding.

    python benchmarks/evaluate_scale.py --clips 1000 --frames 60 --folder scale

One clip of real size is written and the others are links to it, so that the disk holds it.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import psutil

from napari_amodal.clip import Clip
from napari_amodal.evaluation import match_clips, score_clip, score_set, set_scores
from napari_amodal.formats.mask_png import read_mask
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.sample import sample_clip


def make_set(folder: Path, clips: int, frames: int) -> None:
    sample = sample_clip(frames=frames, height=360)
    first = folder / "clip-0000"
    if not first.exists():
        clip = Clip("clip-0000", sample.clip.frames)
        write_tabe51(first, clip, sample.visible, sample.amodal, sample.occlusion)
    for at in range(1, clips):
        link = folder / f"clip-{at:04d}"
        if not link.exists():
            link.symlink_to(first, target_is_directory=True)


def decoding_share(truth: Path) -> tuple[float, float]:
    """Seconds that a clip takes in one process, and those of decoding its four mask folders."""
    pair = match_clips(truth, truth).pairs["clip-0000"]
    score_clip(*pair)  # warm
    started = time.perf_counter()
    score_clip(*pair)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(2):  # of the prediction and of the truth
        for name in ("gt_masks", "visible_masks"):
            for path in (truth / "clip-0000" / name).iterdir():
                read_mask(path)
    # The true visible masks are read twice: for the hidden part, and for J.
    for path in (truth / "clip-0000/visible_masks").iterdir():
        read_mask(path)
    return whole, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    make_set(options.folder, options.clips, options.frames)

    whole, decoding = decoding_share(options.folder)
    print(f"one clip, one process: {whole:.3f} s, PNG decoding {decoding / whole:.0%}")
    process = psutil.Process()
    pairs = match_clips(options.folder, options.folder).pairs
    found, started = {}, time.perf_counter()
    for at, one in enumerate(score_set(pairs, options.workers), 1):
        assert one.scores is not None, one.wrong
        found[one.name] = one.scores
        if at % max(1, options.clips // 5) == 0:
            workers = [child.memory_info().rss >> 20 for child in process.children()]
            own = process.memory_info().rss >> 20
            print(f"{at} clips, {time.perf_counter() - started:.1f} s, {own} MB, workers {workers}")
    spent = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"{len(found) / spent:.1f} clips a second, peak of a worker {peak} MB")
    print(f"mIOU {set_scores(found).mean.miou}")


if __name__ == "__main__":
    main()
