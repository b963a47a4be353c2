"""What the network is fitted with: short stretches of the clip, hidden in part at random.

Source: TABE (reference page, section 7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.levels import FrameOcclusion, OcclusionLevel
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.tabe.canvas import Canvas

SAMPLE_FRAMES = 14
#: Frames are resized to a random side from the crop's to this one, then cropped.
LARGEST_RESIZE = 288
CROP = 256

#: Chances of the kinds of inpainting masks and of dropping the prompt.
ALL_MASKED = 0.1
ALL_BUT_OBJECT = 0.5
INVERTED = 0.5
PROMPT_DROPPED = 0.1
#: Random boxes: how many, and their sides as shares of the picture's.
MOST_BOXES = 29
SMALLEST_BOX, LARGEST_BOX = 0.03, 0.25

#: A clip with no unoccluded frame starts from its least occluded one, if less than this is hidden.
LEAST_OCCLUDED = 0.1
#: A long clip is fitted with this many frames of it at most, spread evenly.
POOL_FRAMES = 512


@dataclass(frozen=True)
class Sample:
    """One training sample.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(T, S, S, 3)``: the object on white; white frames past the end of the clip.
    mask : ndarray
        bool ``(T, S, S)``: where the network is to fill in.
    weight : ndarray
        bool ``(T, S, S)``: object pixels of unoccluded frames, which alone count in the loss.
    prompt_dropped : bool
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    weight: NDArray[np.bool_]
    prompt_dropped: bool


@dataclass(frozen=True)
class TrainingPool:
    """The stretches that samples are drawn from.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(N, S, S, 3)``: distinct frames, the object on white.
    visible : ndarray
        bool ``(N, S, S)``.
    whole : ndarray
        bool ``(N,)``: frames in which nothing of the object is hidden.
    stretches : tuple of tuple of int
        Rows of `pixels` that make up each stretch, at most `SAMPLE_FRAMES`.
    """

    pixels: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    stretches: tuple[tuple[int, ...], ...]

    @property
    def crop(self) -> int:
        """Side of the samples: as much of the frames' side as `CROP` is of `LARGEST_RESIZE`."""
        return self.pixels.shape[1] * CROP // LARGEST_RESIZE


def starting_frames(occlusion: Sequence[FrameOcclusion], visible: MaskStack) -> tuple[int, ...]:
    """The unoccluded frames, or else the least occluded one; empty where nothing will do."""
    seen = [box is not None for box in visible.boxes]
    whole = tuple(
        t
        for t, frame in enumerate(occlusion)
        if frame.level is OcclusionLevel.NO_OCCLUSION and seen[t]
    )
    if whole:
        return whole
    amounts = {
        t: frame.amount
        for t, frame in enumerate(occlusion)
        if seen[t] and frame.amount is not None and frame.amount < LEAST_OCCLUDED
    }
    return (min(amounts, key=lambda t: amounts[t]),) if amounts else ()


def training_pool(
    clip: Clip,
    visible: MaskStack,
    occlusion: Sequence[FrameOcclusion],
    starts: Sequence[int],
    side: int = LARGEST_RESIZE,
) -> TrainingPool:
    """Read the frames that the network is fitted with, `side` pixels wide and high."""
    canvas = Canvas(side, clip.height, clip.width)
    kept = max(1, POOL_FRAMES // SAMPLE_FRAMES) if len(clip) > POOL_FRAMES else len(starts)
    chosen = [
        starts[i] for i in np.linspace(0, len(starts) - 1, min(kept, len(starts))).astype(int)
    ]
    stretches = [range(start, min(start + SAMPLE_FRAMES, len(clip))) for start in chosen]
    frames = sorted({frame for stretch in stretches for frame in stretch})
    row_of = {frame: row for row, frame in enumerate(frames)}
    whole = {t for t, f in enumerate(occlusion) if f.level is OcclusionLevel.NO_OCCLUSION}
    whole |= set(chosen)
    return TrainingPool(
        pixels=np.stack([canvas.place(clip.frame(t), visible[t]) for t in frames]),
        visible=np.stack([canvas.place_mask(visible[t]) for t in frames]),
        whole=np.array([t in whole for t in frames]),
        stretches=tuple(tuple(row_of[t] for t in stretch) for stretch in stretches),
    )


def samples(pool: TrainingPool, seed: int) -> Iterator[Sample]:
    """Draw samples without end; the same seed draws the same."""
    rng = np.random.default_rng(seed)
    while True:
        yield _sample(pool, rng)


def _sample(pool: TrainingPool, rng: np.random.Generator) -> Sample:
    rows = pool.stretches[rng.integers(len(pool.stretches))]
    crop = pool.crop
    size = int(rng.integers(crop, pool.pixels.shape[1] + 1))
    top, left = (int(at) for at in rng.integers(0, size - crop + 1, 2))
    window = (slice(top, top + crop), slice(left, left + crop))
    pixels = np.full((SAMPLE_FRAMES, crop, crop, 3), 255, np.uint8)
    visible = np.zeros((SAMPLE_FRAMES, crop, crop), np.bool_)
    weight = np.zeros_like(visible)
    for at, row in enumerate(rows):
        pixels[at] = _resized(pool.pixels[row], size)[window]
        visible[at] = _resized(pool.visible[row].astype(np.uint8) * 255, size)[window] > 127
        weight[at] = visible[at] & pool.whole[row]
    mask = np.stack([inpainting_mask(seen, rng) for seen in visible])
    return Sample(pixels, mask, weight, bool(rng.random() < PROMPT_DROPPED))


def inpainting_mask(visible: Mask, rng: np.random.Generator) -> Mask:
    """A random inpainting mask for one frame, bool ``(S, S)``."""
    if rng.random() < ALL_MASKED or not visible.any():
        return np.ones_like(visible)
    if rng.random() < ALL_BUT_OBJECT:
        return ~visible
    side = visible.shape[0]
    mask = np.zeros_like(visible)
    inside = np.flatnonzero(visible)
    for start in rng.choice(inside, int(rng.integers(1, MOST_BOXES + 1))):
        y, x = divmod(int(start), side)
        tall, wide = (int(n) for n in side * rng.uniform(SMALLEST_BOX, LARGEST_BOX, 2))
        mask[y : y + tall, x : x + wide] = True
    return ~mask if rng.random() < INVERTED else mask


def _resized(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if picture.shape[0] == size:
        return picture
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
