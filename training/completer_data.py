"""The compact data that the completer's clips are composed from.

    python training/completer_data.py ../shared OUT.npz

From ``videos/`` every frame at 320 x 180 as JPEG, with the camera's motion from frame to frame;
from ``silhouettes.npz`` each moving shape as signed distances in a square that follows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_amodal.clip import clip_from_array
from napari_amodal.draft.motion import measure_motion
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch

WIDTH, HEIGHT = 320, 180
#: Side of the square that a shape is kept in, and the largest distance kept, in its cells.
CELLS, FAR = 96, 15.0
#: Share of the square's side that the longest side of the shape takes, over the whole sequence.
FILLED = 0.8
#: Shorter runs of a silhouette that is whole and away from the border are left out.
SHORTEST_RUN = 8


def read_video(path: Path) -> np.ndarray:
    """All frames, uint8 ``(T, 180, 320, 3)``."""
    with av.open(str(path)) as container:
        return np.stack(
            [
                cv2.resize(
                    frame.to_ndarray(format="rgb24"), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
                )
                for frame in container.decode(video=0)
            ]
        )


def camera_of(frames: np.ndarray) -> np.ndarray:
    """Homographies from each frame's background to the next's, float32 ``(T, 3, 3)``.

    In pixels of 320 x 180; the last is the identity. Corners are those that the engine follows.
    """
    clip = clip_from_array(frames)
    nothing = MaskStack.empty(len(frames), HEIGHT, WIDTH)
    motion = measure_motion(clip, {1: nothing}, Watch(), (0, len(frames)))
    return np.stack([*motion.camera, np.eye(3)]).astype(np.float32)


def runs_of(masks: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of frames in which the shape is there and does not touch the border."""
    inner = masks[:, 1:-1, 1:-1]
    border = masks.any(axis=(1, 2)) & (masks.sum(axis=(1, 2)) > inner.sum(axis=(1, 2)))
    good = masks.any(axis=(1, 2)) & ~border & (masks.sum(axis=(1, 2)) > 60)
    good &= np.array([_is_whole(mask) for mask in masks])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.view(np.int8), [0]])))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [(int(a), int(b)) for a, b in runs if b - a >= SHORTEST_RUN]


def _is_whole(mask: np.ndarray) -> bool:
    """Whether nearly all of a mask hangs together: shreds teach nothing of whole shapes."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return bool(len(areas) and areas.max() > 0.85 * areas.sum())


def followed(masks: np.ndarray) -> np.ndarray:
    """A run of one silhouette in a square that follows it smoothly: int8 ``(T, 96, 96)``.

    Signed distances to the outline, positive inside, in eighths of a cell.
    """
    boxes = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append((rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    sides = gaussian_filter1d(np.array(boxes, float), 4.0, axis=0, mode="nearest")
    centre = (sides[:, :2] + sides[:, 2:]) / 2
    size = (sides[:, 2:] - sides[:, :2]).max(axis=1)
    out = []
    for mask, (y, x), side in zip(masks, centre, size, strict=True):
        step = side / (FILLED * CELLS)
        fine = cv2.resize(mask.astype(np.float32), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        fine = (cv2.GaussianBlur(fine, (0, 0), 2.0) > 0.5).astype(np.uint8)
        distance = cv2.distanceTransform(fine, cv2.DIST_L2, 5)
        distance -= cv2.distanceTransform(1 - fine, cv2.DIST_L2, 5)
        first = (CELLS - 1) / 2
        to_fine = np.array(
            [[3 * step, 0, 3 * (x - first * step)], [0, 3 * step, 3 * (y - first * step)]]
        )
        cells = cv2.warpAffine(
            distance / (3 * step),
            to_fine,
            (CELLS, CELLS),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        out.append(np.rint(8 * cells.clip(-FAR, FAR)).astype(np.int8))
    return np.stack(out)


def silhouettes_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All runs after one another, and where each begins and ends, int32 ``(N, 2)``."""
    shapes, spans, count = [], [], 0
    with np.load(path) as stored:
        for name in stored.files:
            masks = np.unpackbits(stored[name], axis=-1).astype(bool)
            for first, end in runs_of(masks):
                shapes.append(followed(masks[first:end]))
                spans.append((count, count + end - first))
                count += end - first
    return np.concatenate(shapes), np.array(spans, np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quality", type=int, default=80, help="of the JPEG frames")
    args = parser.parse_args()
    pictures, cameras, spans, count = [], [], [], 0
    for path in sorted((args.shared / "videos").glob("*.mp4")):
        frames = read_video(path)
        for frame in frames:
            flags = [cv2.IMWRITE_JPEG_QUALITY, args.quality]
            pictures.append(cv2.imencode(".jpg", frame[..., ::-1], flags)[1].ravel())
        cameras.append(camera_of(frames))
        spans.append((count, count + len(frames)))
        count += len(frames)
        print(path.name, len(frames), flush=True)
    shapes, shape_spans = silhouettes_of(args.shared / "silhouettes.npz")
    ends = np.cumsum([len(picture) for picture in pictures])
    np.savez_compressed(
        args.out,
        pictures=np.concatenate(pictures),
        picture_ends=ends,
        video_spans=np.array(spans, np.int32),
        cameras=np.concatenate(cameras),
        shapes=shapes,
        shape_spans=shape_spans,
    )
    print(f"{count} frames, {len(shape_spans)} runs of {len(shapes)} shapes")
    print(f"{args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
