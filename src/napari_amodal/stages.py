"""The three stages of an amodal completion and what they hand to each other.

A *tracker* finds the visible masks, an *occlusion reasoner* says how much of the object is hidden,
in what box it lies and what may hide it, and a *completer* draws the hidden part. A stage is a
class with a `settings_type`; the engine makes it with those settings and calls its one method. Each
works on all the objects it is given, whose ids are the keys of its mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip, Frame
from napari_amodal.levels import FrameOcclusion
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch


@dataclass(frozen=True)
class Clicks:
    """Points and a box that tell an object on one frame, for trackers that take them.

    Attributes
    ----------
    inside, outside : tuple of (float, float)
        Points on the object and beside it, ``(y, x)`` in pixels.
    box : Box or None
        A box around the visible object.

    Raises
    ------
    ValueError
        There is neither a point inside nor a box.
    """

    inside: tuple[tuple[float, float], ...] = ()
    outside: tuple[tuple[float, float], ...] = ()
    box: Box | None = None

    def __post_init__(self) -> None:
        if not self.inside and self.box is None:
            raise ValueError("clicks need a point inside the object, or a box around it")


@dataclass(frozen=True)
class Query:
    """What the annotator gave of one object: masks on one or more frames.

    Attributes
    ----------
    visible : mapping of int to ndarray
        Frame index to visible mask, bool ``(H, W)``; at least one that is not empty. Stages take
        these as true.
    amodal : mapping of int to ndarray
        Frames whose amodal mask was drawn or corrected by hand; kept as they are.
    clicks : mapping of int to Clicks
        Frames on which the object was pointed at. A mask on the same frame says more and is taken
        instead.
    """

    visible: Mapping[int, Mask]
    amodal: Mapping[int, Mask] = field(default_factory=lambda: MappingProxyType({}))
    clicks: Mapping[int, Clicks] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def frame(self) -> int:
        """The first query frame that is not empty; the first with clicks where there is no mask."""
        painted = [frame for frame, mask in self.visible.items() if mask.any()]
        return min(painted or self.clicks)


@dataclass(frozen=True)
class VisibleTrack:
    """The visible masks of one object.

    Attributes
    ----------
    masks : MaskStack
        ``(T, H, W)``.
    confidence : ndarray
        float32 ``(T,)``, 0..1: how far the tracker trusts each frame's mask. 1 on query frames.
    """

    masks: MaskStack
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class Occlusion:
    """What hides one object, frame by frame.

    Attributes
    ----------
    frames : tuple of FrameOcclusion
        Level and amount of each of the T frames.
    boxes : tuple of Box or None
        The amodal box of each frame; it may reach beyond the frame. None: not in the scene.
    hiders : MaskStack
        ``(T, H, W)``: where something may hide the object. Never set on visible object pixels, nor
        on background that is plainly visible.
    """

    frames: tuple[FrameOcclusion, ...]
    boxes: tuple[Box | None, ...]
    hiders: MaskStack


@dataclass(frozen=True)
class Hypothesis:
    """One answer to what the whole object looks like.

    Attributes
    ----------
    amodal : MaskStack
        ``(T, H, W)``; contains the visible masks.
    score : float
        How likely the completer holds it, 0..1; hypotheses come best first.
    """

    amodal: MaskStack
    score: float


class Stage(Protocol):
    """What the registry knows of every stage.

    Attributes
    ----------
    settings_type : type
        A frozen dataclass whose fields all have defaults. A field's metadata may hold ``label``,
        ``help``, ``min``, ``max`` and ``step`` for the people who set it.
    title : str
        What the stage does, for a progress bar.
    seconds_per_frame : float
        Rough cost of a 640 x 360 frame on two cores, beside the other stages'; the run's time left
        starts from these. A property may go by the settings.
    """

    settings_type: ClassVar[type]
    title: ClassVar[str]
    seconds_per_frame: ClassVar[float]

    def __init__(self, settings: Any) -> None: ...

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        """What the stage still lacks on this machine, whatever its settings, with the remedy.

        Weights of the catalogue are asked for by `ReadsWeights` instead.
        """
        ...


@dataclass(frozen=True)
class NeededWeight:
    """Weights that a stage reads.

    Attributes
    ----------
    name : str
        Their name in `napari_amodal.weights.catalogue`.
    unless : str
        Where they are not needed, in words; empty where they always are.
    """

    name: str
    unless: str = ""


@runtime_checkable
class ReadsWeights(Protocol):
    """A stage that reads networks' weights; which ones follows from its settings and the clip.

    It is made, to be asked, where the networks' packages may be missing.
    """

    def __init__(self, settings: Any) -> None: ...

    def weights(self, clip: Clip | None = None) -> tuple[NeededWeight, ...]:
        """The weights that it reads for a clip; without one, those that any clip may need."""
        ...


@runtime_checkable
class NeedsDevice(Protocol):
    """A stage whose settings may name a device that is not on this machine."""

    def check_device(self, watch: Watch) -> None:
        """Raise `CallError` where it is not; a run asks before it begins."""
        ...


class Tracker(Stage, Protocol):
    """Finds the visible masks of the queried objects over the whole clip, both ways in time.

    A tracker that also takes `Query.clicks` says so by ``takes_clicks = True``.
    """

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]: ...


class Prompter(Protocol):
    """Makes a mask of one frame from clicks and a box, fast enough to be watched.

    Attributes
    ----------
    title : str
        What it is called, for people.
    rank : int
        Of those that lack nothing, the highest is taken unless another is chosen.
    """

    title: ClassVar[str]
    rank: ClassVar[int]

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        """What it lacks on this machine, each with the remedy; empty where it can run."""
        ...

    def mask(self, frame: Frame, clicks: Clicks, begin: Mask | None = None) -> Mask:
        """The object that was pointed at, bool ``(H, W)``.

        Parameters
        ----------
        frame : ndarray
            uint8 ``(H, W, 3)``; what is learned from it may be kept as long as it is the same one.
        clicks : Clicks
        begin : ndarray, optional
            The mask before the last click, bool ``(H, W)``.
        """
        ...


class OcclusionReasoner(Stage, Protocol):
    """Says for each frame how much of the object is hidden, in what box, and by what."""

    def reason(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> Mapping[int, Occlusion]: ...


class Completer(Stage, Protocol):
    """Draws the amodal masks: one or more hypotheses an object, best first."""

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        occlusions: Mapping[int, Occlusion],
        watch: Watch,
    ) -> Mapping[int, tuple[Hypothesis, ...]]: ...
