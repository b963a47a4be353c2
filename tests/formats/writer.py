"""Writes a clip folder again and again until it is killed (`test_replacing` does)."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np

from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import FrameOcclusion, OcclusionLevel
from napari_amodal.masks import MaskStack

FRAMES, HEIGHT, WIDTH = 12, 40, 60


def clip_of(version: int) -> tuple[Clip, MaskStack]:
    """A clip whose frames and masks show its version."""
    frames = np.full((FRAMES, HEIGHT, WIDTH, 3), version % 200, np.uint8)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    masks[:, : 1 + version % HEIGHT] = True
    return clip_from_array(frames, "clip"), MaskStack.from_array(masks)


def write(folder: Path, version: int, *, overwrite: bool = True) -> None:
    clip, masks = clip_of(version)
    occlusion = (FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0),) * FRAMES
    provenance = {"version": version}
    write_tabe51(folder, clip, masks, masks, occlusion, provenance, overwrite=overwrite)


def write_until_killed(folder: Path) -> None:
    """Print the process, then each version that has been written."""
    print(os.getpid(), flush=True)
    for version in itertools.count(1):
        write(folder, version)
        print(version, flush=True)


if __name__ == "__main__":
    # One import for many kills: each line of input starts a new process that writes.
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            write_until_killed(Path(sys.argv[1]))
        os.waitpid(child, 0)
        print("killed", flush=True)
