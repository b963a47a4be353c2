"""Memory and time of a long video: opening it, stepping through it, and stepping back.

Makes a video of 10,000 frames of 1080p in a temporary folder (some minutes), then opens and reads
it in a process of its own and prints its peak memory. The aim: no decoding on opening, and less
than 500 MB.

    python benchmarks/memory.py [--frames 10000] [--back 500] [--video FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from napari_amodal.formats.opening import open_clip

HEIGHT, WIDTH = 1080, 1920
LIMIT_MB = 500


def make_video(path: Path, frames: int) -> None:
    """A window that wanders over a picture of blurred noise: it has texture, moves, compresses."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    picture = np.kron(small, np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "30"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(frames):
            y = int(500 + 480 * np.sin(number / 97))
            x = int(900 + 880 * np.sin(number / 131))
            view = np.ascontiguousarray(picture[y : y + HEIGHT, x : x + WIDTH])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        out.mux(stream.encode(None))


def peak_mb() -> float:
    """Peak resident memory of this process, in MB (Linux)."""
    # Not `getrusage`: its figure begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(path: Path, back: int) -> None:
    """Open the video, read all of it, some of it backwards and some at random places."""
    print(f"before opening: peak {peak_mb():.0f} MB")
    start = time.perf_counter()
    clip = open_clip(path)
    seconds = time.perf_counter() - start
    print(f"opening {len(clip)} frames of {clip.width}x{clip.height}: {seconds:.2f} s, ", end="")
    print(f"peak {peak_mb():.0f} MB")

    backwards = range(len(clip) - 1, max(-1, len(clip) - 1 - back), -1)
    random = [int(n) for n in np.random.default_rng(1).integers(0, len(clip), 50)]
    for what, order in (
        ("forwards", range(len(clip))),
        ("backwards", backwards),
        ("at random", random),
    ):
        start = time.perf_counter()
        for frame in order:
            clip.frame(frame)
        rate = len(order) / (time.perf_counter() - start)
        print(f"{len(order)} frames {what}: {rate:.1f} a second, peak {peak_mb():.0f} MB")
    verdict = "within" if peak_mb() < LIMIT_MB else "OVER"
    print(f"{verdict} {LIMIT_MB} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--back", type=int, default=500, help="frames to step back from the end")
    parser.add_argument("--video", type=Path, help="measure this video instead of making one")
    options = parser.parse_args()
    if options.video is not None:
        measure(options.video, options.back)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        make_video(path, options.frames)
        print(f"made {path.stat().st_size / 1e6:.0f} MB of video", flush=True)
        command = [sys.executable, __file__, "--video", str(path), "--back", str(options.back)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
