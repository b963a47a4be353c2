"""Things at rest that an object passes behind, or in front of.

A thing that stands in front at one time stands there at all times: what is found to hide the object
in some frames is carried over the background to the others, until the object is seen in front of
that place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.draft.motion import Transform
from napari_amodal.masks import Mask, MaskStack

#: The background is followed in masks of at most this side, in pixels.
_LONGEST_SIDE = 320
#: Frames in which a place is to hide the object before it counts in others.
_LEAST_FRAMES = 2


def standing_occluders(
    found: MaskStack, visible: MaskStack, still: MaskStack, camera: Sequence[Transform]
) -> MaskStack:
    """Where a thing at rest hides the object, on every frame, from where it was found to.

    Parameters
    ----------
    found : MaskStack
        ``(T, H, W)``: places of `still` found to hide the object.
    visible, still : MaskStack
        ``(T, H, W)``: the object's visible masks, and `Surroundings.still`.
    camera : sequence of ndarray
        `ClipMotion.camera`.

    Returns
    -------
    MaskStack
        ``(T, H, W)``, within `still`.
    """
    count, height, width = found.shape
    size = _small_size(height, width)
    later = [
        MaskStack((mask,), size[1], size[0])
        for mask in _spread(found, visible, camera, size, _LEAST_FRAMES, backwards=True)
    ]
    earlier = _spread(found, visible, camera, size, _LEAST_FRAMES, backwards=False)

    def masks() -> Iterator[Mask]:
        for frame, before in enumerate(earlier):
            both = before | later[count - 1 - frame][0]
            full = cv2.resize(both.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
            yield found[frame] | ((full > 0) & still[frame])

    return MaskStack(masks(), height, width)


def without_places_passed(
    still: MaskStack, visible: MaskStack, camera: Sequence[Transform]
) -> MaskStack:
    """Things at rest that may hide an object which is seen no more, or not yet.

    It was seen in front of some of them: before its first frame and after its last, those are taken
    out. (One that came to stand there just then is taken out with them: it cannot be told apart.)

    Parameters
    ----------
    still, visible : MaskStack
        ``(T, H, W)``: `Surroundings.still` and the visible masks.
    camera : sequence of ndarray
        `ClipMotion.camera`.
    """
    count, height, width = visible.shape
    seen = [frame for frame, box in enumerate(visible.boxes) if box is not None]
    if not seen or (seen[0] == 0 and seen[-1] == count - 1):
        return still
    size = _small_size(height, width)
    nowhere = MaskStack.empty(count, height, width)
    later = [
        MaskStack((mask,), size[1], size[0])
        for mask in _spread(visible, nowhere, camera, size, 1, backwards=True)
    ]
    earlier = _spread(visible, nowhere, camera, size, 1, backwards=False)

    def masks() -> Iterator[Mask]:
        for frame, before in enumerate(earlier):
            if seen[0] <= frame <= seen[-1] or still.boxes[frame] is None:
                yield still[frame]
                continue
            passed = before | later[count - 1 - frame][0]
            # a pixel more: outlines are not exact
            wide = cv2.dilate(passed.view(np.uint8), np.ones((3, 3), np.uint8))
            full = cv2.resize(wide, (width, height), interpolation=cv2.INTER_NEAREST)
            yield still[frame] & (full == 0)

    return MaskStack(masks(), height, width)


def _small_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of the masks that are carried."""
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _spread(
    found: MaskStack,
    visible: MaskStack,
    camera: Sequence[Transform],
    size: tuple[int, int],
    least: int,
    *,
    backwards: bool,
) -> Iterator[Mask]:
    """Small masks of the places found in at least so many earlier frames (or later ones), in the
    order of time that is followed."""
    count, height, width = found.shape
    down = np.diag([size[0] / width, size[1] / height, 1.0])
    votes = np.zeros(size[::-1], np.uint8)
    for frame in reversed(range(count)) if backwards else range(count):
        if votes.any():
            between = frame if backwards else frame - 1
            step = down @ camera[between] @ np.linalg.inv(down)
            flags = cv2.INTER_NEAREST | (cv2.WARP_INVERSE_MAP if backwards else 0)
            votes = np.asarray(cv2.warpPerspective(votes, step, size, flags=flags), np.uint8)
        votes[_small(visible[frame], size)] = 0
        if found.boxes[frame] is not None:
            votes[_small(found[frame], size)] += 1
            np.minimum(votes, 250, out=votes)
        yield votes >= least


def _small(mask: Mask, size: tuple[int, int]) -> NDArray[np.bool_]:
    small = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small > 127, np.bool_)
