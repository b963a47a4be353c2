"""Following objects forward from their first query frame, and backward from their last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip, Frame
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Query, VisibleTrack


@dataclass(frozen=True)
class Sight:
    """What is seen of an object on a frame: its mask ``(H, W)`` and a confidence, 0..1."""

    object_id: int
    mask: Mask
    confidence: float


class OneWay(Protocol):
    """Objects that are followed in one direction of time."""

    def next(self, frame: Frame, given: Mapping[int, Mask], watch: Watch) -> Iterator[Sight]:
        """The next frame on the way.

        Parameters
        ----------
        frame : ndarray
            uint8 ``(H, W, 3)``.
        given : mapping of int to ndarray
            Masks of objects that are known on this frame, bool ``(H, W)``: these objects are
            followed from here on. All others that were given before are to be told.
        watch : Watch
        """
        ...


@dataclass
class Found:
    """The best masks so far of one object; `masks` is ``(T, H, W)``, `confidence` ``(T,)``."""

    masks: MaskStack
    confidence: NDArray[np.float32]

    @classmethod
    def nothing(cls, clip: Clip) -> Found:
        masks = MaskStack.empty(len(clip), clip.height, clip.width)
        return cls(masks, np.full(len(clip), -1.0, np.float32))

    def offer(self, frame: int, mask: Mask, confidence: float) -> None:
        """Take a mask if it is trusted more than the one that is there."""
        if confidence > self.confidence[frame]:
            self.confidence[frame] = confidence
            self.masks = self.masks.replaced({frame: mask})

    @property
    def track(self) -> VisibleTrack:
        return VisibleTrack(self.masks, self.confidence)


def track_both_ways(
    clip: Clip, queries: Mapping[int, Query], watch: Watch, way: Callable[[], OneWay]
) -> Mapping[int, Found]:
    """The masks of the queried objects on every frame.

    Between two query frames each frame takes the more confident of the masks found forward from the
    one and backward from the other.
    """
    found = {object_id: Found.nothing(clip) for object_id in queries}
    total = sum(_steps(clip, queries))
    for done, (frame, sight) in enumerate(_sights(clip, queries, watch, way), 1):
        best = found[sight.object_id]
        best.offer(frame, sight.mask, sight.confidence)
        shown = FrameMask("visible", sight.object_id, frame, best.masks[frame])
        watch.step(done, total, shown)
    return found


def _sights(
    clip: Clip, queries: Mapping[int, Query], watch: Watch, way: Callable[[], OneWay]
) -> Iterator[tuple[int, Sight]]:
    for object_id, query in queries.items():
        for frame, mask in query.visible.items():
            yield frame, Sight(object_id, mask, 1.0)
    first = min(min(query.visible) for query in queries.values())
    last = max(max(query.visible) for query in queries.values())
    for frames in (range(first, len(clip)), range(last, -1, -1)):
        if len(frames) < 2:
            continue
        going = way()
        for index in frames:
            watch.check()
            given = {key: q.visible[index] for key, q in queries.items() if index in q.visible}
            for sight in going.next(clip.frame(index), given, watch):
                yield index, sight


def _steps(clip: Clip, queries: Mapping[int, Query]) -> Iterator[int]:
    """How many masks of each object are found or taken."""
    for query in queries.values():
        frames = query.visible.keys()
        yield len(frames)
        yield len(clip) - min(frames) - len(frames)
        yield max(frames) + 1 - len(frames)
