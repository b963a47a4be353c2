"""Memory and time of SAM 2 (random weights of full size) over a long 1080p clip.

python benchmarks/track_memory.py [--frames 2000] [--size large] [--objects 1]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from napari_amodal.clip import Frame, clip_over
from napari_amodal.progress import Progress, Watch
from napari_amodal.stages import Query
from napari_amodal.tabe.sam2_checkpoint import SIZES
from napari_amodal.tabe.sam2_tracker import Sam2Settings, Sam2Tracker

GIB = 2**30
HEIGHT, WIDTH = 1080, 1920


class Noise:
    """Frames of noise that moves."""

    def __init__(self, frames: int) -> None:
        self.shape = (frames, HEIGHT, WIDTH, 3)
        self._picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def read(self, frame: int) -> Frame:
        return np.roll(self._picture, frame, 1)


def write_network(name: str) -> Path:
    """SAM 2.1 of one of the published sizes, with random weights."""
    size = next(size for size in SIZES if size.name == name)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": size.widths,
        "num_attention_heads_per_stage": [size.heads << level for level in range(4)],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_attention),
        "window_positional_embedding_background_size": [size.background] * 2,
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_channel_list": size.widths[::-1],
        "backbone_config": backbone,
    }
    folder = Path(tempfile.mkdtemp(prefix="amodal-sam2-"))
    Sam2VideoModel(Sam2VideoConfig(vision_config=vision)).save_pretrained(folder)
    return folder


def host_memory() -> float:
    """GiB of this process that are in memory now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", default="large", choices=[size.name for size in SIZES])
    parser.add_argument("--objects", type=int, default=1)
    args = parser.parse_args()
    folder = write_network(args.size)
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[300:700, 500:900] = True
    queries = {number: Query({args.frames // 3 + number: mask}) for number in range(args.objects)}
    print(f"before: host {host_memory():.2f} GiB")
    started = time.perf_counter()
    first = [0.0]

    def show(progress: Progress) -> None:
        seconds = time.perf_counter() - started
        if progress.done == 1:
            first[0] = seconds
        if progress.done % max(1, progress.total // 10) != 1:
            return
        card = torch.cuda.max_memory_allocated() / GIB if torch.cuda.is_available() else 0.0
        print(
            f"{progress.done}/{progress.total}: {seconds:.0f} s, host {host_memory():.2f} GiB, "
            f"card peak {card:.2f} GiB",
            flush=True,
        )

    tracker = Sam2Tracker(Sam2Settings(weights=str(folder)))
    tracks = tracker.track(clip_over("noise", Noise(args.frames)), queries, Watch(show))
    each = (time.perf_counter() - started - first[0]) / args.frames * 1000
    masks = sum(len(frame.bits) for track in tracks.values() for frame in track.masks._frames)
    print(f"{each:.1f} ms a frame; masks {masks / GIB:.2f} GiB; host {host_memory():.2f} GiB")


if __name__ == "__main__":
    main()
