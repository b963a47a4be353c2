"""One object of a clip as the annotator has it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from napari_amodal.boxes import Box
from napari_amodal.engine import ObjectCompletion
from napari_amodal.export import Annotation, Origin
from napari_amodal.levels import NO_UP_TO, FrameOcclusion, OcclusionLevel, frame_occlusion
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Clicks, Hypothesis, Query

#: Instead of the number of a hypothesis: what most of them say, pixel by pixel.
CONSENSUS = -1


@dataclass(frozen=True)
class ObjectAnnotation:
    """Everything about one object; immutable, so that a change shares what it leaves alone.

    Attributes
    ----------
    name, color : str
        What it is called, and its colour as ``#rrggbb``.
    visible, amodal : MaskStack
        ``(T, H, W)``, as they are now.
    visible_origin, amodal_origin : tuple of Origin
        Where each frame's masks came from.
    confidence : tuple of float
        The tracker's, 0..1, one a frame; 0 where nothing was tracked yet.
    query : MaskStack
        ``(T, H, W)``, the painted queries; it counts on `query_frames` only.
    query_frames : frozenset of int
        Frames with a painted query; an empty mask there says that nothing of the object is seen.
    clicks : mapping of int to Clicks
        Frames on which the object was pointed at.
    locked : frozenset of int
        Frames that no run and no tool changes.
    fresh : frozenset of int
        Locked frames that no run and no update has gone by yet.
    levels : mapping of int to OcclusionLevel
        Frames whose level was set by hand.
    leaving : frozenset of int
        Frames in which the object is leaving the frame or gone from it, as the reasoner said.
    hypotheses : tuple of Hypothesis
        The completer's answers, best first; none before a run.
    picks : tuple of int
        For each frame the hypothesis that is taken, or `CONSENSUS`.
    is_shown : bool
        Whether it is to be seen in a window.
    """

    name: str
    color: str
    visible: MaskStack
    amodal: MaskStack
    visible_origin: tuple[Origin, ...]
    amodal_origin: tuple[Origin, ...]
    confidence: tuple[float, ...]
    query: MaskStack
    query_frames: frozenset[int] = frozenset()
    clicks: Mapping[int, Clicks] = field(default_factory=lambda: MappingProxyType({}))
    locked: frozenset[int] = frozenset()
    fresh: frozenset[int] = frozenset()
    levels: Mapping[int, OcclusionLevel] = field(default_factory=lambda: MappingProxyType({}))
    leaving: frozenset[int] = frozenset()
    hypotheses: tuple[Hypothesis, ...] = ()
    picks: tuple[int, ...] = ()
    is_shown: bool = True

    @classmethod
    def empty(cls, name: str, color: str, shape: tuple[int, int, int]) -> ObjectAnnotation:
        """An object without any mask on a clip of `shape` ``(T, H, W)``."""
        nothing, frames = MaskStack.empty(*shape), shape[0]
        given = (Origin.GIVEN,) * frames
        return cls(
            name, color, nothing, nothing, given, given, (0.0,) * frames, nothing,
            picks=(0,) * frames,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.visible)

    @property
    def corrected(self) -> frozenset[int]:
        """Frames with a mask by the annotator's hand, other than queries."""
        pairs = enumerate(zip(self.visible_origin, self.amodal_origin, strict=True))
        return frozenset(frame for frame, origins in pairs if Origin.EDITED in origins)

    @property
    def anchors(self) -> frozenset[int]:
        """Frames that are true as they are: locked ones, and those with a painted query."""
        return self.locked | self.query_frames

    @property
    def painted(self) -> Query:
        """The queries and the locked masks, as an engine takes them; a lock goes before a query."""
        locked = sorted(self.locked)
        queried = sorted(self.query_frames - self.locked)
        return Query(
            {f: self.query[f] for f in queried} | {f: self.visible[f] for f in locked},
            {f: self.amodal[f] for f in locked},
            {f: clicks for f, clicks in self.clicks.items() if f not in self.locked},
        )

    def occlusion(self, frame: int) -> FrameOcclusion:
        """Level and amount of a frame from the masks as they are, or the level set by hand."""
        boxes = self.visible.packed[frame].box, self.amodal.packed[frame].box
        known = [box for box in boxes if box is not None] or [Box(0, 0, 1, 1)]
        around = known[0].union(known[-1])  # a full frame of 1080p takes ten times as long
        return frame_occlusion(
            self.visible.within(frame, around),
            self.amodal.within(frame, around),
            frame in self.leaving,
            self.levels.get(frame),
        )

    def annotation(self) -> Annotation:
        """What is exported."""
        return Annotation(
            self.visible,
            self.amodal,
            self.visible_origin,
            self.amodal_origin,
            np.asarray(self.confidence, np.float32),
            self.leaving,
            self.levels,
        )


def with_query(annotated: ObjectAnnotation, frame: int, mask: Mask | None) -> ObjectAnnotation:
    """The object with another query mask, bool ``(H, W)``, on a frame; None takes it away."""
    frames = annotated.query_frames - {frame} if mask is None else annotated.query_frames | {frame}
    empty = np.zeros(annotated.visible.shape[1:], np.bool_)
    query = annotated.query.replaced({frame: empty if mask is None else mask})
    return replace(annotated, query=query, query_frames=frames)


def with_clicks(annotated: ObjectAnnotation, frame: int, clicks: Clicks | None) -> ObjectAnnotation:
    """The object with other clicks on a frame; None takes them away."""
    others = {at: given for at, given in annotated.clicks.items() if at != frame}
    added = {} if clicks is None else {frame: clicks}
    return replace(annotated, clicks=MappingProxyType(dict(sorted((others | added).items()))))


def with_locks(
    annotated: ObjectAnnotation, frames: Iterable[int], *, locked: bool
) -> ObjectAnnotation:
    """The object with locks set on some frames, or lifted from them."""
    chosen = frozenset(frames)
    if not locked:
        return replace(annotated, locked=annotated.locked - chosen, fresh=annotated.fresh - chosen)
    fresh = annotated.fresh | (chosen - annotated.locked)
    return replace(annotated, locked=annotated.locked | chosen, fresh=fresh)


def with_level(
    annotated: ObjectAnnotation, frames: Iterable[int], level: OcclusionLevel | None
) -> ObjectAnnotation:
    """The object with the level of some frames set by hand; None: it follows from the masks."""
    chosen = frozenset(frames)
    kept = {frame: old for frame, old in annotated.levels.items() if frame not in chosen}
    added = {} if level is None else dict.fromkeys(chosen, level)
    return replace(annotated, levels=MappingProxyType(dict(sorted((kept | added).items()))))


def corrected(
    annotated: ObjectAnnotation,
    visible: Mapping[int, Mask],
    amodal: Mapping[int, Mask],
    *,
    contain_visible: bool = True,
) -> ObjectAnnotation:
    """The object with masks by the annotator's hand; frames that change are locked.

    Parameters
    ----------
    annotated : ObjectAnnotation
    visible, amodal : mapping of int to ndarray
        Frame to mask, bool ``(H, W)``. Masks that are the same as before are no corrections.
    contain_visible : bool
        Keep amodal containing visible. Where only amodal was painted, what was erased of it is
        erased from visible; otherwise visible is added to amodal.
    """
    after_visible = annotated.visible.replaced(visible)
    after_amodal = annotated.amodal.replaced(amodal)
    if contain_visible:
        for frame in sorted(visible.keys() | amodal.keys()):
            seen, whole = after_visible[frame], after_amodal[frame]
            if not (seen & ~whole).any():
                continue
            if frame in visible:
                after_amodal = after_amodal.replaced({frame: whole | seen})
            else:
                after_visible = after_visible.replaced({frame: seen & whole})
    return _marked(annotated, after_visible, after_amodal, visible.keys() | amodal.keys())


def _marked(
    annotated: ObjectAnnotation, visible: MaskStack, amodal: MaskStack, frames: Iterable[int]
) -> ObjectAnnotation:
    """The object with other masks on some frames, which are marked where they differ."""
    new_visible = {f for f in frames if not annotated.visible.same_frame(visible, f)}
    new_amodal = {f for f in frames if not annotated.amodal.same_frame(amodal, f)}
    drawn = {frame for frame in new_amodal if _is_hidden(visible, amodal, frame)}
    return replace(
        annotated,
        visible=visible,
        amodal=amodal,
        leaving=annotated.leaving - drawn,
        visible_origin=with_origin(annotated.visible_origin, new_visible, Origin.EDITED),
        amodal_origin=with_origin(annotated.amodal_origin, new_amodal, Origin.EDITED),
        locked=annotated.locked | new_visible | new_amodal,
        fresh=annotated.fresh | new_visible | new_amodal,
    )


def _is_hidden(visible: MaskStack, amodal: MaskStack, frame: int) -> bool:
    """Whether a frame's masks say that some of an object is hidden of which something is seen."""
    seen, whole = visible[frame], amodal[frame]
    hidden = np.count_nonzero(whole & ~seen)
    return bool(seen.any() and hidden > NO_UP_TO * np.count_nonzero(whole | seen))


def with_origin(
    origins: tuple[Origin, ...], frames: Iterable[int], origin: Origin
) -> tuple[Origin, ...]:
    """`origins` with another one on some frames."""
    chosen = frozenset(frames)
    if not chosen:
        return origins
    return tuple(origin if at in chosen else old for at, old in enumerate(origins))


def completed(
    annotated: ObjectAnnotation, found: ObjectCompletion, *, tracked: bool
) -> ObjectAnnotation:
    """The object after a run over the whole clip; locked frames stay as they are.

    Parameters
    ----------
    annotated : ObjectAnnotation
    found : ObjectCompletion
    tracked : bool
        Whether the visible masks were tracked, or given.
    """
    frames = range(len(annotated))
    free = [frame for frame in frames if frame not in annotated.locked]
    gone = {f for f in frames if found.occlusion.frames[f].level is OcclusionLevel.NONE}
    queried = found.query.visible.keys() & annotated.query_frames
    visible_origin = with_origin(
        annotated.visible_origin, free, Origin.TRACKED if tracked else Origin.GIVEN
    )
    return replace(
        annotated,
        visible=annotated.visible.taking(found.track.masks, free),
        amodal=annotated.amodal.taking(found.amodal, free),
        visible_origin=with_origin(visible_origin, queried - annotated.locked, Origin.QUERY),
        amodal_origin=with_origin(annotated.amodal_origin, free, Origin.COMPLETED),
        confidence=rounded(found.track.confidence.tolist()),
        leaving=frozenset(gone - annotated.locked) | (annotated.leaving & annotated.locked),
        hypotheses=found.hypotheses,
        picks=(0,) * len(annotated),
        fresh=annotated.fresh - found.query.amodal.keys(),
    )


def rounded(confidence: Iterable[float]) -> tuple[float, ...]:
    """Confidences as they are kept and written, to four digits."""
    return tuple(round(float(value), 4) for value in confidence)
