"""What changes along a clip: keyframed numbers, and which frame of a source is shown when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Course:
    """Numbers over time: straight between keyframes, level before the first and after the last.

    Attributes
    ----------
    frames : tuple of float
        Frames of the composed clip, rising.
    values : tuple of tuple of float
        The numbers at each.
    """

    frames: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def constant(cls, *values: float) -> Course:
        return cls((0.0,), (values,))

    def with_key(self, frame: float, *values: float) -> Course:
        """The course that also goes through these numbers at a frame."""
        keys = dict(zip(self.frames, self.values, strict=True)) | {frame: values}
        frames = tuple(sorted(keys))
        return Course(frames, tuple(keys[at] for at in frames))

    def without_key(self, frame: float) -> Course:
        """The course without its key at a frame; the last key stays."""
        left = [at for at in range(len(self.frames)) if self.frames[at] != frame]
        if not left:
            return self
        return Course(tuple(self.frames[at] for at in left), tuple(self.values[at] for at in left))

    def at(self, frame: float) -> NDArray[np.float64]:
        """The numbers at a frame, float64."""
        columns = zip(*self.values, strict=True)
        return np.array([np.interp(frame, self.frames, column) for column in columns])


@dataclass(frozen=True)
class Timing:
    """Which frames of a source are taken, and when they are shown.

    Attributes
    ----------
    fps : float or None
        Cut to this rate, where the source has one of its own; None: every frame.
    first, last : int or None
        Range of frames that is taken, counted after the cut, `last` included; None: to the end.
    reverse : bool
        Backwards.
    begin : int
        The frame of the composed clip at which it begins; before that it is not there.
    pause : int or None
        For how many frames the last one stands; None: to the end of the clip.
    """

    fps: float | None = None
    first: int = 0
    last: int | None = None
    reverse: bool = False
    begin: int = 0
    pause: int | None = 0

    def taken(self, frames: int, source_fps: float | None) -> tuple[int, ...]:
        """Indices of the source's frames, in the order in which they are shown.

        Raises
        ------
        ValueError
            No frame is left, or the source has no rate to cut from.
        """
        if self.fps is None:
            cut = list(range(frames))
        elif source_fps is None:
            raise ValueError("fps is for videos: a folder of frames has no rate; leave it out")
        else:
            step = source_fps / self.fps
            if step < 1:
                raise ValueError(f"fps {self.fps:g} is more than the source's {source_fps:g}")
            count = int((frames - 1) / step) + 1
            cut = [min(round(at * step), frames - 1) for at in range(count)]
        last = len(cut) - 1 if self.last is None else self.last
        if not 0 <= self.first <= last < len(cut):
            raise ValueError(f"frames {self.first} to {last} are not all there: it has {len(cut)}")
        chosen = cut[self.first : last + 1]
        return tuple(reversed(chosen)) if self.reverse else tuple(chosen)

    def shown(self, taken: int, frame: int) -> int | None:
        """Which of the `taken` frames is shown at a frame of the composed clip; None: none."""
        at = frame - self.begin
        if at < 0 or (self.pause is not None and at >= taken + self.pause):
            return None
        return min(at, taken - 1)
