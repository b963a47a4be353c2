"""What composed clips are made of: frames of real videos and shapes that move, on the card.

Banks are made from files at the start of a run (some seconds); `compose` samples from them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional as F

#: Shapes are kept as pictures of this side; an object spans about `SPAN` of it.
SHAPE_SIDE, SPAN = 128, 0.8
#: Videos that clips of the benchmark were cut from: never trained on.
HELD_OUT = ("05_default_juggle",)
MIPS = 4

Shape = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameBank:
    """Frames of all videos, every one at `MIPS` sizes, each half the last.

    Attributes
    ----------
    pixels : Tensor
        int32, flat: ``R + 256 G + 65536 B``; level 0 of all frames first, then level 1 ...
    height, width, count : int
        Size of a frame at level 0, and how many there are.
    videos : Tensor
        int64 ``(V, 2)``: first frame and number of frames of each video.
    names : tuple of str
        Of the videos.
    every : int
        Every so many frames were taken.
    """

    pixels: torch.Tensor
    height: int
    width: int
    count: int
    videos: torch.Tensor
    names: tuple[str, ...] = ()
    every: int = 1


@dataclass(frozen=True)
class ShapeBank:
    """Shapes in motion.

    Attributes
    ----------
    shapes : Tensor
        uint8 ``(N, SHAPE_SIDE, SHAPE_SIDE)``: how far a pixel is the object's, softly.
    sequences : Tensor
        int64 ``(K, 2)``: first shape and number of shapes of each sequence.
    kinds : mapping of str to (int, int)
        The sequences ``from, to`` of each kind.
    sources : Tensor
        float32 ``(N, 4)``: where a shape was cut out: number of the frame in the bank (-1: it was
        not), ``x, y`` of its middle and half the side of the square, in heights of the frame.
    """

    shapes: torch.Tensor
    sequences: torch.Tensor
    kinds: dict[str, tuple[int, int]]
    sources: torch.Tensor

    def with_cutouts(self, path: Path, frames: FrameBank) -> ShapeBank:
        """The same with the objects that `tracker_cutouts` cut out of the bank's frames."""
        with np.load(path) as stored:
            shapes = np.unpackbits(stored["shapes"], axis=-1)
            videos, sources, spans = stored["videos"], stored["sources"].copy(), stored["spans"]
        firsts = dict(zip(frames.names, frames.videos.tolist(), strict=True))
        for source, video in zip(sources, videos, strict=True):
            first, count = firsts.get(str(video), (-1, 0))
            at = first + min(int(source[0]) // frames.every, count - 1)
            source[0] = at if first >= 0 else -1
        spans = np.array([span for span in spans if sources[span[0], 0] >= 0]).reshape(-1, 2)
        if not len(spans):
            return self
        device = self.shapes.device
        soft = torch.from_numpy(np.stack([_soft(shape) for shape in shapes])).to(device)
        spans[:, 0] += len(self.shapes)
        return ShapeBank(
            torch.cat([self.shapes, soft]),
            torch.cat([self.sequences, torch.from_numpy(spans).to(device)]),
            self.kinds | {"cutouts": (len(self.sequences), len(self.sequences) + len(spans))},
            torch.cat([self.sources, torch.from_numpy(sources).to(device)]),
        )


def read_video(path: Path, every: int = 1) -> list[NDArray[np.uint8]]:
    """The frames of a video, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames[::every]


def frame_bank(
    folder: Path, device: torch.device, *, height: int = 360, every: int = 1, videos: int = 0
) -> FrameBank:
    """The frames of all videos of a folder but the held-out ones."""
    width = height * 16 // 9
    paths = [p for p in sorted(folder.glob("*.mp4")) if p.stem not in HELD_OUT][: videos or None]

    def read(path: Path) -> NDArray[np.uint8]:
        frames = read_video(path, every)
        return np.stack(
            [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
        )

    levels: list[list[torch.Tensor]] = [[] for _ in range(MIPS)]
    spans, count = [], 0
    with ThreadPoolExecutor() as pool:
        for frames in pool.map(read, paths):
            spans.append((count, len(frames)))
            count += len(frames)
            picture = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float()
            for level in levels:
                red, green, blue = picture.round().int().unbind(1)
                level.append((red | green << 8 | blue << 16).flatten())
                picture = F.avg_pool2d(picture, 2)
    flat = torch.cat([part for level in levels for part in level])
    names = tuple(path.stem for path in paths)
    spans_there = torch.tensor(spans, device=device)
    return FrameBank(flat, height, width, count, spans_there, names, every)


def shape_bank(
    silhouettes: Path, device: torch.device, *, seed: int = 0, size: float = 1.0
) -> ShapeBank:
    """Real silhouettes, stick figures in motion, and shapes that do not change."""
    rng = np.random.default_rng(seed)
    with np.load(silhouettes) as stored:
        real = [
            sequence.shapes
            for name in stored.files
            for sequence in centred(np.unpackbits(stored[name], axis=-1))
        ]
    kinds = {
        "real": real,
        "sticks": [_stick_figure(rng, 24) for _ in range(max(2, round(160 * size)))],
        "blobs": [_blob(rng)[None] for _ in range(max(4, round(600 * size)))],
        "drawn": [_drawn(rng)[None] for _ in range(max(4, round(600 * size)))],
        "bars": [_bar(rng)[None] for _ in range(max(2, round(120 * size)))],
    }
    shapes, sequences, spans, count = [], [], {}, 0
    for kind, found in kinds.items():
        first = len(sequences)
        for sequence in found:
            if len(sequence):
                sequences.append((count, len(sequence)))
                shapes.append(sequence)
                count += len(sequence)
        spans[kind] = (first, len(sequences))
    stack = torch.from_numpy(np.concatenate(shapes)).to(device)
    nowhere = torch.full((len(stack), 4), -1.0, device=device)
    return ShapeBank(stack, torch.tensor(sequences, device=device), spans, nowhere)


def _soft(mask: NDArray[np.floating]) -> Shape:
    return np.clip(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2) * 255, 0, 255).astype(
        np.uint8
    )


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    sizes = stats[:, 4].copy()
    sizes[0] = 0
    kept = sizes >= 0.1 * sizes.max()
    kept[0] = False
    return kept[labels].astype(np.uint8)


@dataclass(frozen=True)
class Sequence:
    """A silhouette in motion, moved and scaled to the middle.

    Attributes
    ----------
    shapes : ndarray
        uint8 ``(N, SHAPE_SIDE, SHAPE_SIDE)``.
    frames : ndarray
        int ``(N,)``: which of the masks each was.
    places : ndarray
        float ``(N, 3)``: middle ``x, y`` and half the side of the square that was cut, in pixels.
    """

    shapes: Shape
    frames: NDArray[np.int64]
    places: NDArray[np.float64]


def centred(masks: NDArray[np.uint8], least: int = 120) -> list[Sequence]:
    """A silhouette with its travel taken out, from masks ``(N, H, W)`` of 0 and 1.

    Cut into several sequences where it jumps (something hid it), without those that are too small:
    masks of fewer than `least` pixels, sequences of less than 6 frames.
    """
    masks = np.stack([_without_specks(mask) for mask in masks])
    boxes = np.full((len(masks), 3), np.nan)
    for mask, box in zip(masks, boxes, strict=True):
        ys, xs = np.nonzero(mask)
        if len(ys) >= least:
            y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
            box[:] = (x0 + x1) / 2, (y0 + y1) / 2, max(y1 - y0, x1 - x0)
    seen = np.flatnonzero(~np.isnan(boxes[:, 0]))
    if len(seen) < 6:
        return []
    every = np.arange(len(boxes))
    filled = np.stack([np.interp(every, seen, column[seen]) for column in boxes.T], axis=1)
    smooth = gaussian_filter1d(filled, 1.5, axis=0, mode="nearest")
    parts: list[list[tuple[Shape, int]]] = [[]]
    for frame in seen:
        x, y, side = smooth[frame]
        zoom = SPAN * SHAPE_SIDE / side
        middle = SHAPE_SIDE / 2
        matrix = np.array([[zoom, 0, middle - zoom * x], [0, zoom, middle - zoom * y]])
        mask = cv2.GaussianBlur(masks[frame].astype(np.float32), (0, 0), 0.8)
        way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        shape = _soft(cv2.warpAffine(mask, matrix, (SHAPE_SIDE, SHAPE_SIDE), flags=way) > 0.5)
        if parts[-1] and _overlap(parts[-1][-1][0], shape) < 0.5:
            parts.append([])
        parts[-1].append((shape, int(frame)))
    found = []
    for part in parts:
        shapes = np.stack([shape for shape, _ in part]) if part else np.zeros((0, 1, 1), np.uint8)
        if len(part) >= 6 and np.mean(shapes > 127) > 0.05:
            frames = np.array([frame for _, frame in part])
            places = smooth[frames] * (1, 1, 0.5 / SPAN)
            found.append(Sequence(shapes, frames, places))
    return found


def _overlap(first: Shape, second: Shape) -> float:
    one, other = first > 127, second > 127
    return float((one & other).sum() / max((one | other).sum(), 1))


def _fitted(mask: NDArray[np.uint8]) -> Shape:
    """A drawn shape, moved and scaled to its usual size."""
    ys, xs = np.nonzero(mask)
    if len(ys) < 30:
        return _fitted(cv2.circle(np.zeros((256, 256), np.uint8), (128, 128), 80, 1, -1))
    side = max(np.ptp(ys), np.ptp(xs)) + 1
    zoom = SPAN * SHAPE_SIDE / side
    x, y = (xs.min() + xs.max()) / 2, (ys.min() + ys.max()) / 2
    matrix = np.array([[zoom, 0, SHAPE_SIDE / 2 - zoom * x], [0, zoom, SHAPE_SIDE / 2 - zoom * y]])
    return _soft(cv2.warpAffine(mask.astype(np.float32), matrix, (SHAPE_SIDE, SHAPE_SIDE)))


def _blob(rng: np.random.Generator) -> Shape:
    """A smooth random field, cut off towards the border, above a threshold."""
    noise = cv2.GaussianBlur(
        rng.normal(size=(256, 256)).astype(np.float32), (0, 0), rng.uniform(9, 34)
    )
    noise /= noise.std()
    ys, xs = np.mgrid[-1:1:256j, -1:1:256j]
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(1, 2.5)
    u, v = xs * np.cos(turn) + ys * np.sin(turn), ys * np.cos(turn) - xs * np.sin(turn)
    mask = (noise * rng.uniform(0.2, 0.9) + 1.5 - 3 * np.hypot(u, v * aspect) > 0).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if len(stats) > 1:
        mask = (labels == 1 + np.argmax(stats[1:, 4])).astype(np.uint8)
    return _fitted(mask)


def _drawn(rng: np.random.Generator) -> Shape:
    """Polygons, ellipses, rings, and unions of them with thin parts."""
    mask = np.zeros((256, 256), np.uint8)
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(5)
        centre = rng.uniform(85, 170, 2)
        if kind <= 1:
            points = rng.integers(3, 9)
            angles = np.sort(rng.uniform(0, 2 * np.pi, points))
            radius = rng.uniform(25, 80, points)
            corners = centre + np.column_stack([np.cos(angles), np.sin(angles)]) * radius[:, None]
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
        elif kind == 2:
            axes = tuple(int(a) for a in rng.uniform(15, 75, 2))
            cv2.ellipse(
                mask, (int(centre[0]), int(centre[1])), axes, rng.uniform(0, 180), 0, 360, 1, -1
            )
        elif kind == 3:
            ring = int(rng.uniform(30, 70))
            cv2.circle(mask, (int(centre[0]), int(centre[1])), ring, 1, int(rng.uniform(6, 26)))
        else:
            box = cv2.boxPoints((tuple(centre), tuple(rng.uniform(20, 130, 2)), rng.uniform(0, 90)))
            cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    for _ in range(rng.integers(0, 4)):
        ends = rng.integers(40, 216, (2, 2))
        cv2.line(
            mask, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1, int(rng.integers(4, 16))
        )
    return _fitted(mask)


def _bar(rng: np.random.Generator) -> Shape:
    """Posts, fences and gratings: what stands in front of things."""
    mask = np.zeros((256, 256), np.uint8)
    if rng.random() < 0.5:
        width = int(rng.uniform(10, 90))
        mask[:, 128 - width // 2 : 128 + width // 2 + 1] = 1
    else:
        step = int(rng.integers(20, 80))
        thick = int(rng.integers(4, max(5, step // 2)))
        for x in range(0, 256, step):
            mask[:, x : x + thick] = 1
        if rng.random() < 0.5:
            for y in range(0, 256, int(rng.integers(30, 120))):
                mask[y : y + thick] = 1
    return _fitted(mask)


def _stick_figure(rng: np.random.Generator, frames: int) -> Shape:
    """A body with limbs of two parts each that swing."""
    limbs = int(rng.integers(2, 7))
    anchor = rng.uniform(-1, 1, (limbs, 2)) * (38, 20)
    angle = rng.uniform(0, 2 * np.pi, (limbs, 2))
    swing = rng.uniform(0.1, 0.8, (limbs, 2))
    pace = rng.uniform(0.15, 0.6) * rng.choice([0.5, 1, 1], (limbs, 1))
    phase = rng.uniform(0, 2 * np.pi, (limbs, 2))
    length = rng.uniform(18, 52, (limbs, 2))
    thick = rng.uniform(5, 22, limbs)
    body = rng.uniform(16, 46, 2)
    turn = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    across = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    out = []
    for t in range(frames):
        mask = np.zeros((256, 256), np.uint8)
        axes = (int(body[0]), int(body[1]))
        cv2.ellipse(mask, (128, 128), axes, np.degrees(turn), 0, 360, 1, -1)
        for limb in range(limbs):
            at = 128 + across @ anchor[limb]
            heading = 0.0
            for part in range(2):
                bend = swing[limb, part] * np.sin(pace[limb, 0] * t + phase[limb, part])
                heading = (
                    angle[limb, 0] if part == 0 else heading + 0.7 * np.sin(angle[limb, 1])
                ) + bend
                to = at + length[limb, part] * np.array([np.cos(heading), np.sin(heading)])
                width = max(3, int(thick[limb] * (1 - 0.3 * part)))
                cv2.line(mask, tuple(map(int, at)), tuple(map(int, to)), 1, width, cv2.LINE_AA)
                at = to
        zoom = 0.62
        matrix = np.array([[zoom, 0, 64 - zoom * 128], [0, zoom, 64 - zoom * 128]])
        out.append(_soft(cv2.warpAffine(mask.astype(np.float32), matrix, (SHAPE_SIDE, SHAPE_SIDE))))
    return np.stack(out)
