"""Converting a large dataset: seconds, peak memory, and the share of PNG coding.

Makes CLIPS clips of FRAMES frames in the TABE-51 layout (links to one clip's files, so that it
costs no disk), converts them to COCO and back in processes of their own, and prints for each the
time, the peak memory of all processes together and of the largest, for the whole and for a tenth of
the clips. The share of PNG coding is measured in one process, on ten clips.

    python benchmarks/convert.py [--clips 1000] [--frames 60]
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from napari_amodal.clip import clip_from_array
from napari_amodal.conversion import convert
from napari_amodal.formats.dataset_formats import open_dataset, target_of
from napari_amodal.formats.format_table import DatasetFormat, MaskKind
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack

HEIGHT, WIDTH = 360, 640

#: Functions in which PNG is coded: Pillow's decoder, and OpenCV's encoder.
_PNG = ("method 'decode' of 'ImagingDecoder'", "imencode")


def make_set(folder: Path, clips: int, frames: int) -> None:
    """Clips of an ellipse that goes behind a bar."""
    visible = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for frame in range(frames):
        cv2.ellipse(visible[frame], (150 + 5 * frame, 180), (70, 110), 10, 0, 360, 1, -1)
    amodal = visible.astype(np.bool_)
    visible[:, :, 300:360] = 0
    stacks = MaskStack.from_array(visible.astype(np.bool_)), MaskStack.from_array(amodal)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    clip = clip_from_array(np.broadcast_to(picture, (frames, *picture.shape)), "clip")
    write_tabe51(folder / "clip_0000", clip, *stacks, occlusion_of(*stacks))
    for number in range(1, clips):
        shutil.copytree(folder / "clip_0000", folder / f"clip_{number:04d}", copy_function=os.link)


def convert_in_processes(source: Path, out: Path, to: str) -> tuple[float, float, float]:
    """Seconds, and peak MB of all processes together and of the largest."""
    command = "from napari_amodal.cli import app; app()"
    arguments = ["convert", str(source), str(out), "--to", to]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peaks = [0.0, 0.0]
    watch = threading.Thread(target=_watch, args=(process, peaks))
    watch.start()
    if process.wait() != 0:
        raise SystemExit("the conversion failed")
    seconds = time.perf_counter() - start
    watch.join()
    return seconds, peaks[0], peaks[1]


def _watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    while process.poll() is None:
        sizes = []
        try:
            root = psutil.Process(process.pid)
            for one in (root, *root.children(recursive=True)):
                sizes.append(one.memory_full_info().uss / 1e6)
        except psutil.Error:
            pass
        peaks[0] = max(peaks[0], sum(sizes))
        peaks[1] = max(peaks[1], *sizes, 0)
        time.sleep(0.1)


def png_share(source: Path, fmt: DatasetFormat, to: DatasetFormat, out: Path) -> str:
    """The share of the time of one process that goes into coding PNG."""
    profile = cProfile.Profile()
    with open_dataset(source, fmt) as dataset:
        target = target_of(to, MaskKind.VISIBLE, with_frames=True)
        profile.enable()
        convert(dataset, target, out, jobs=1)
        profile.disable()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    own = {name[2]: figures[2] for name, figures in stats.items()}
    whole = sum(own.values())
    png = sum(seconds for name, seconds in own.items() if any(part in name for part in _PNG))
    disk = sum(
        s for name, s in own.items() if any(p in name for p in ("fsync", "sync>", "sendfile"))
    )
    return (
        f"{png / whole:.0%} PNG coding, {disk / whole:.0%} copying and flushing, of {whole:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="where to work; default: the temporary folder")
    options = parser.parse_args()
    for clips in (max(1, options.clips // 10), options.clips):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            make_set(folder / "set", clips, options.frames)
            print(f"{clips} clips of {options.frames} frames of {WIDTH}x{HEIGHT}", flush=True)
            for source, out, to in (("set", "coco", "coco"), ("coco", "back", "tabe51")):
                seconds, together, largest = convert_in_processes(folder / source, folder / out, to)
                print(
                    f"  {source} to {to}: {seconds:.1f} s, {clips / seconds:.1f} clips a second, "
                    f"peak {together:.0f} MB together, {largest:.0f} MB the largest process",
                    flush=True,
                )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_set(folder / "set", 10, options.frames)
        tabe51, coco = DatasetFormat.TABE51, DatasetFormat.COCO
        print("to coco:", png_share(folder / "set", tabe51, coco, folder / "coco"))
        print("to tabe51:", png_share(folder / "coco", coco, tabe51, folder / "back"))


if __name__ == "__main__":
    main()
