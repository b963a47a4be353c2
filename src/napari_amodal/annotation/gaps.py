"""Which frames an update does again, and which ones it looks at besides."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.errors import InputError

#: Frames on each side of the changed ones that the shape of the object is learned from.
CONTEXT = 12
#: Share of a gap between two true frames that is tracked from each of them. What both reach takes
#: the more confident mask; all of it from both sides would cost nearly twice the time.
REACH = 0.6
#: Frames on the other side of a corrected one that a tracker runs up to it: it learns how fast the
#: object is. It begins where the earlier run trusted its mask so far at least.
LEAD, LEAD_CONFIDENCE = 6, 0.5
#: Frames from elsewhere in the clip that show a tracker what the object looks like.
LOOKS = 2


@dataclass(frozen=True)
class Gap:
    """Unlocked frames next to a corrected one, and the way that they are tracked.

    Attributes
    ----------
    start : int
        The corrected frame that tracking begins at.
    frames : range
        The frames to change, from beside `start` on; backwards in time where `start` is the later.
    end : int or None
        The true frame on the other side; None where the clip ends there.
    """

    start: int
    frames: range
    end: int | None

    @property
    def ways(self) -> tuple[tuple[int, range], ...]:
        """The true frame that each way through the gap begins at, and the frames it goes on to."""
        if self.end is None:
            return ((self.start, self.frames),)
        reached = math.ceil(REACH * len(self.frames))
        return (self.start, self.frames[:reached]), (self.end, self.frames[::-1][:reached])

    @property
    def steps(self) -> int:
        """Frames to track, those that are reached twice counted twice."""
        return sum(len(frames) for _, frames in self.ways)


def gaps_beside(annotated: ObjectAnnotation, corrected: Iterable[int]) -> tuple[Gap, ...]:
    """What is to be tracked again: all between newly corrected frames and their nearest anchors.

    Parameters
    ----------
    annotated : ObjectAnnotation
    corrected : iterable of int
        The frames that were corrected since the last run; those that are not locked do not count.
    """
    new = frozenset(corrected) & annotated.locked
    anchors = annotated.anchors
    gaps: list[Gap] = []
    for start in sorted(new):
        after = min((at for at in anchors if at > start), default=None)
        gaps.append(Gap(start, range(start + 1, len(annotated) if after is None else after), after))
        before = max((at for at in anchors if at < start), default=None)
        if before not in new:  # otherwise that frame's own gap
            gaps.append(Gap(start, range(start - 1, -1 if before is None else before, -1), before))
    return tuple(gap for gap in gaps if gap.frames)


def queried_beside(annotated: ObjectAnnotation, corrected: Iterable[int]) -> frozenset[int]:
    """Frames with a painted query in a row right beside newly corrected ones, up to a lock.

    Their visible masks are true and are not tracked again; what is hidden there is to be completed
    again. Where a folder gave the visible masks of all frames, these are all that an update does.
    """
    queried = annotated.query_frames - annotated.locked
    found: set[int] = set()
    for start in frozenset(corrected) & annotated.locked:
        for step in (1, -1):
            frame = start + step
            while frame in queried:
                found.add(frame)
                frame += step
    return frozenset(found)


def looks_for(annotated: ObjectAnnotation, start: int, without: Collection[int]) -> list[int]:
    """True frames that show the object well: at most `LOOKS`, those nearest to `start` last.

    Neither `start` nor those of `without` are among them.

    A corrected frame often shows little of the object; a tracker that began with nothing else would
    not know the rest when it comes back.

    Raises
    ------
    InputError
        No true frame shows anything of it.
    """
    areas = {frame: int(mask.sum()) for frame, mask in annotated.painted.visible.items()}
    largest = max(areas.values(), default=0)
    if largest == 0:
        raise InputError(
            f"{annotated.name} has no visible mask on any corrected or query frame: paint it on one"
        )
    good = {at for at, area in areas.items() if 2 * area >= largest} - {start, *without}
    return sorted(good, key=lambda at: abs(at - start))[:LOOKS][::-1]


def lead_to(annotated: ObjectAnnotation, start: int, frames: range) -> list[int]:
    """The frames that a tracker runs up to `start` before it goes on along `frames`.

    The first of them has a mask to begin with; none where there is no such frame.
    """
    near = range(start - LEAD * frames.step, start, frames.step)
    lead = [frame for frame in near if 0 <= frame < len(annotated)]
    while lead and not _is_trusted(annotated, lead[0]):
        del lead[0]
    return lead


def _is_trusted(annotated: ObjectAnnotation, frame: int) -> bool:
    trusted = frame in annotated.anchors or annotated.confidence[frame] >= LEAD_CONFIDENCE
    return trusted and annotated.visible.boxes[frame] is not None


def window_around(annotated: ObjectAnnotation, frames: Sequence[int]) -> list[int]:
    """The frames with some around them, among which is one that truly shows the object."""
    first = max(0, frames[0] - CONTEXT)
    last = min(len(annotated) - 1, frames[-1] + CONTEXT)
    shown = [at for at, mask in annotated.painted.visible.items() if mask.any()]
    nearest = min(shown, key=lambda at: max(first - at, at - last, 0))
    return list(range(min(first, nearest), max(last, nearest) + 1))


def runs_of(frames: Sequence[int]) -> list[list[int]]:
    """Sorted frames in runs that are further than twice `CONTEXT` from each other."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame - runs[-1][-1] <= 2 * CONTEXT:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs
