"""Masks carried along an object's motion: between two frames, and from one to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.annotation.shape_tools import (
    Transform,
    centre_of,
    similarity_about,
    transformed,
)
from napari_amodal.boxes import box_of
from napari_amodal.clip import Clip, part_of
from napari_amodal.draft.motion import measure_motion
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Progress, Watch


@dataclass(frozen=True)
class ObjectMotion:
    """How an object moves over some frames.

    Attributes
    ----------
    first : int
        The first of the frames.
    steps : tuple of ndarray
        Transforms ``(3, 3)`` on ``(x, y, 1)`` in pixels, from each frame to the next.
    """

    first: int
    steps: tuple[Transform, ...]

    def between(self, start: int, end: int) -> Transform:
        """The motion from one frame to another, later or earlier."""
        early, late = min(start, end) - self.first, max(start, end) - self.first
        whole = np.eye(3)
        for step in self.steps[early:late]:
            whole = step @ whole
        return whole if start <= end else np.asarray(np.linalg.inv(whole), np.float64)


def object_motion(
    clip: Clip,
    visible: MaskStack,
    frames: range,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> ObjectMotion:
    """Measure how an object moves over consecutive frames, by its visible parts.

    Where too little of it is seen it goes on beside the background as it did on the nearest frame
    that shows it; an object that is never seen moves as the background does.

    Parameters
    ----------
    clip : Clip
    visible : MaskStack
        The object's visible masks, ``(T, H, W)``.
    frames : range
        Two frames or more, one after the other.
    on_progress, is_cancelled : callable, optional
        As in `napari_amodal.engine.run`.
    """
    watch = Watch(on_progress, is_cancelled)
    watch.enter("Measuring motion", 0.0, 1.0)
    packed = [visible.packed[frame] for frame in frames]
    masks = MaskStack.from_packed(packed, clip.height, clip.width)
    found = measure_motion(part_of(clip, frames), {0: masks}, watch, (0, len(frames)))
    own, camera = found.objects[0], found.camera
    known = [n for n, step in enumerate(own) if step is not None]
    steps = []
    for n, step in enumerate(own):
        if step is None and known:
            nearest = min(known, key=lambda at: abs(at - n))
            measured = own[nearest]
            assert measured is not None
            # its motion beside the background's, from there on top of the background's here
            step = camera[n] @ np.linalg.inv(camera[nearest]) @ measured
        steps.append(np.asarray(camera[n] if step is None else step, np.float64))
    return ObjectMotion(frames[0], tuple(steps))


def copied(mask: Mask, motion: ObjectMotion, start: int, frames: range) -> dict[int, Mask]:
    """A mask ``(H, W)`` of one frame on others, moved as the object moves."""
    return {
        frame: transformed(mask, motion.between(start, frame)) for frame in frames if frame != start
    }


def interpolated(
    masks: Mapping[int, Mask], motion: ObjectMotion, first: int, last: int
) -> dict[int, Mask]:
    """Masks for the frames between two that are known.

    Both masks are carried along the motion. Where they do not meet, as the measured motion is not
    exact, each is drawn to the other's centre and size in proportion to time. Of the two outlines,
    each frame takes the mean, weighted by time, of the signed distances to them.

    Parameters
    ----------
    masks : mapping of int to ndarray
        The masks of `first` and `last`, bool ``(H, W)``.
    motion : ObjectMotion
        Over both of them.
    first, last : int
    """
    before, after = masks[first], masks[last]
    between = range(first + 1, last)
    if not (before.any() and after.any()):
        return {frame: np.zeros_like(before) for frame in between}
    found = {}
    for frame in between:
        share = (frame - first) / (last - first)
        early = transformed(before, motion.between(first, frame))
        late = transformed(after, motion.between(last, frame))
        found[frame] = _blended(early, late, share)
    return found


def _blended(early: Mask, late: Mask, share: float) -> Mask:
    """The mask between two: `early` where `share` is 0, `late` where it is 1."""
    if not (early.any() and late.any()):  # one has left the frame
        return early if share < 0.5 else late
    (y0, x0), (y1, x1) = centre_of(early), centre_of(late)
    growth = float(np.sqrt(np.count_nonzero(late) / np.count_nonzero(early)))
    to_late = similarity_about((y0, x0), (share * (y1 - y0), share * (x1 - x0)), growth**share)
    back = 1 - share
    to_early = similarity_about((y1, x1), (back * (y0 - y1), back * (x0 - x1)), growth**-back)
    early, late = transformed(early, to_late), transformed(late, to_early)
    box = box_of(early | late)
    blend = np.zeros_like(early)
    if box is not None:
        around = box.padded(1).clipped(*early.shape)
        assert around is not None
        one, other = _signed_distance(early[around.slices]), _signed_distance(late[around.slices])
        blend[around.slices] = (1 - share) * one + share * other > 0
    return blend


def _signed_distance(mask: Mask) -> NDArray[np.float32]:
    """Distance to the outline in pixels, positive inside."""
    inside = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(inside - outside, np.float32)
