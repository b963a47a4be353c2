"""One object to complete: what is known of it, and what is left to generate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Occlusion, Query, VisibleTrack
from napari_amodal.tabe.canvas import Canvas, CanvasFrames, outpainting_frames
from napari_amodal.tabe.chunks import chunks_of


@dataclass(frozen=True)
class CompletionTask:
    """One object and what is known of it.

    Attributes
    ----------
    clip : Clip
    object_id : int
    amodal : mapping of int to ndarray
        Amodal masks that the annotator drew, bool ``(H, W)``: kept as they are.
    visible, hiders : MaskStack
        ``(T, H, W)``.
    boxes : tuple of Box or None
        Amodal box of each frame.
    frames : tuple of FrameOcclusion
        What hides it, by the annotator's amodal masks where there are some.
    """

    clip: Clip
    object_id: int
    amodal: Mapping[int, Mask]
    visible: MaskStack
    hiders: MaskStack
    boxes: tuple[Box | None, ...]
    frames: tuple[FrameOcclusion, ...]

    @classmethod
    def of(
        cls, clip: Clip, object_id: int, query: Query, track: VisibleTrack, occlusion: Occlusion
    ) -> CompletionTask:
        amodal = dict(query.amodal)
        frames = _with_amodal(occlusion.frames, track.masks, amodal)
        return cls(clip, object_id, amodal, track.masks, occlusion.hiders, occlusion.boxes, frames)

    @property
    def whole(self) -> frozenset[int]:
        """Frames in which nothing is hidden."""
        levels = enumerate(frame.level for frame in self.frames)
        return frozenset(t for t, level in levels if level is OcclusionLevel.NO_OCCLUSION)

    def is_open(self, frame: int) -> bool:
        """Whether the amodal mask of a frame is to be found."""
        hidden = self.frames[frame].level is not OcclusionLevel.NO_OCCLUSION
        return hidden and frame not in self.amodal and self.boxes[frame] is not None

    def chunks(self) -> tuple[range, ...]:
        """The chunks in which there is something to find."""
        cut = chunks_of([frame.level for frame in self.frames])
        return tuple(chunk for chunk in cut if any(map(self.is_open, chunk)))

    def shown(self, canvas: Canvas, chunk: range) -> CanvasFrames:
        """What the model is given of a chunk."""
        parts = (self.visible, self.hiders, self.boxes, self.whole, self.amodal)
        return outpainting_frames(self.clip, chunk, canvas, *parts)

    def united(self, generated: Callable[[int], Mask | None]) -> MaskStack:
        """The amodal masks: what was generated, with what is seen; the annotator's as they are.

        Parameters
        ----------
        generated : callable
            The generated mask of a frame, bool ``(H, W)``, or None where there is none.
        """

        def masks() -> Iterator[Mask]:
            for frame in range(len(self.clip)):
                if frame in self.amodal:
                    yield self.amodal[frame]
                    continue
                made = generated(frame) if self.is_open(frame) else None
                seen = self.visible[frame]
                yield seen if made is None else made | seen

        return MaskStack(masks(), self.clip.height, self.clip.width)


def _with_amodal(
    frames: Sequence[FrameOcclusion], visible: MaskStack, amodal: Mapping[int, Mask]
) -> tuple[FrameOcclusion, ...]:
    """Frames of which an amodal mask tells how much is hidden take their level from it."""
    known = list(frames)
    for frame, mask in amodal.items():
        if mask.any():
            amount = np.count_nonzero(mask & ~visible[frame]) / np.count_nonzero(mask)
            known[frame] = FrameOcclusion(level_of(amount), amount)
    return tuple(known)
