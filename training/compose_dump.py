"""Composed clips as a file, to try the tracker on: what its constants are chosen by.

    python compose_dump.py --videos DIR --silhouettes FILE --out clips.npz [--cutouts FILE]

Never trained on (another seed), and nothing of the benchmark's clips is in them.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

from compose_banks import FrameBank, ShapeBank, frame_bank, shape_bank

from compose import MEAN, SPREAD, Maker


@torch.no_grad()
def dump(
    path: Path, frames: FrameBank, shapes: ShapeBank, clips: int, length: int, side: int
) -> None:
    """Write clips: JPEG pictures ``(N, T)``, and masks ``(N, T, S, S)`` as packed bits."""
    torch.manual_seed(2026)
    pictures, masks = [], []
    while len(pictures) < clips:
        batch = Maker(frames, shapes, min(8, clips), length, side).make()
        images = (batch.images.float() * SPREAD + MEAN).clamp(0, 1).mul(255).byte()
        for image, mask, valid in zip(images, batch.masks, batch.valid, strict=True):
            if not valid:
                continue
            shown = image.permute(0, 2, 3, 1).flip(-1).contiguous().cpu().numpy()
            pictures.append([cv2.imencode(".jpg", picture)[1].tobytes() for picture in shown])
            masks.append(np.packbits((mask > 0.5).cpu().numpy(), axis=-1))
    np.savez_compressed(path, pictures=np.array(pictures[:clips]), masks=np.stack(masks[:clips]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--silhouettes", type=Path, required=True)
    parser.add_argument("--cutouts", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--every", type=int, default=1, help="use every so many frames")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    frames = frame_bank(args.videos, device, every=args.every)
    shapes = shape_bank(args.silhouettes, device, seed=1)
    if args.cutouts:
        shapes = shapes.with_cutouts(args.cutouts, frames)
    dump(args.out, frames, shapes, args.clips, args.length, args.side)


if __name__ == "__main__":
    main()
