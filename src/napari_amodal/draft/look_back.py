"""An object that was found again late is followed back to where it came into sight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.draft.both_ways import Found
from napari_amodal.draft.memory_follower import Follower
from napari_amodal.masks import Mask

#: It is followed from the most trusted of so many frames after it was found, if trusted so far.
_WITHIN, _TRUSTED = 8, 0.6
#: What is seen on the way back, on a frame that had nothing, is taken from this confidence on.
_SEEN = 0.4
#: It is out of sight for good after so many frames without it.
_PATIENCE = 2


@dataclass(frozen=True)
class Gap:
    """Frames without the object, and where it is followed from to look for it there.

    Attributes
    ----------
    query : int
        The frame on which it is known.
    start : int
        The frame after the gap, seen from the query, on which it is trusted most.
    way : range
        The frames from there back through the gap.
    """

    query: int
    start: int
    way: range


def gaps(
    areas: NDArray[np.int64], confidence: NDArray[np.float32], queries: Mapping[int, Mask]
) -> Iterator[Gap]:
    """The gaps before the first query frame and after the last, which are looked at one way only.

    Parameters
    ----------
    areas, confidence : ndarray
        Of the object's masks, ``(T,)``.
    queries : mapping of int to ndarray
        Masks ``(H, W)`` on the frames that have one.
    """
    painted = [frame for frame, mask in queries.items() if mask.any()]
    for query, end, step in ((max(painted), len(areas), 1), (min(painted), -1, -1)):
        lost: int | None = None
        for frame in range(query + step, end, step):
            if frame in queries:
                lost = None
            elif not areas[frame]:
                lost = frame if lost is None else lost
            elif lost is not None:
                seen = _seen_from(areas, frame, end, step)
                start = max(seen, key=lambda number: confidence[number])
                if confidence[start] > _TRUSTED:
                    yield Gap(query, start, range(start - step, lost - step, -step))
                lost = None


def _seen_from(areas: NDArray[np.int64], frame: int, end: int, step: int) -> list[int]:
    seen = []
    for number in range(frame, end, step)[:_WITHIN]:
        if not areas[number]:
            break
        seen.append(number)
    return seen


def look_back(
    clip: Clip, queries: Mapping[int, Mask], found: Found, new: Callable[[], Follower]
) -> Iterator[int]:
    """Fill an object's gaps in `found`; gives each frame that was looked at."""
    for gap in list(gaps(found.masks.areas, found.confidence, queries)):
        follower = new()
        follower.start(clip.frame(gap.query), queries[gap.query])
        follower.start(clip.frame(gap.start), found.masks[gap.start])
        for frame in gap.way:
            if frame in queries:
                break
            sight = follower.step(clip.frame(frame))
            if follower.lost_for >= _PATIENCE:
                break
            if sight.mask.any() and not found.masks.areas[frame] and sight.confidence > _SEEN:
                found.confidence[frame] = -1.0  # it was only not found
            if sight.mask.any():
                found.offer(frame, sight.mask, sight.confidence)
            yield frame
