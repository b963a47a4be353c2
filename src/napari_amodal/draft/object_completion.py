"""What a drawing in windows tells of an object: amodal masks, levels, boxes, what may hide it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Clip
from napari_amodal.draft.completion import (
    Answers,
    Drawn,
    ObjectScene,
    drawn_frames,
    with_known,
)
from napari_amodal.draft.leaving import frames_leaving
from napari_amodal.draft.motion import ClipMotion
from napari_amodal.draft.occlusion import clear_frames
from napari_amodal.draft.shape_memory import hidden_part
from napari_amodal.draft.window_path import window_path
from napari_amodal.levels import NO_UP_TO, FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack

#: Hypotheses that agree with a better one more than this, in their hidden parts, are not told.
_SAME = 0.85
#: An object that is less than this visible when it is first seen was hidden before, not absent.
_EMERGING_SHARE = 0.7
_FIRST_SEEN = 3


@dataclass(frozen=True)
class DrawnOcclusion(Occlusion):
    """An occlusion that was told by drawing the object: what was drawn comes with it.

    Attributes
    ----------
    hypotheses : tuple of Hypothesis
        Best first.
    """

    hypotheses: tuple[Hypothesis, ...]


@dataclass(frozen=True)
class _Told:
    """What is told of one frame; masks of the whole frame, packed."""

    hidden: tuple[MaskStack, ...]
    hiders: MaskStack
    amount: float | None
    box: Box | None
    quality: float


def complete_object(
    clip: Clip,
    query: Query,
    track: VisibleTrack,
    motion: ClipMotion,
    object_id: int,
    answers: Answers,
    on_frame: Callable[[int], None],
) -> DrawnOcclusion:
    """Draw one object in every frame; `on_frame` is called with how many frames are read."""
    clear = clear_frames(query)
    visible = with_known(track.masks, query.amodal)
    whole = clear | frozenset(query.amodal)
    confidence = track.confidence.copy()
    confidence[list(whole)] = 1.0
    windows = window_path(
        visible.boxes,
        whole,
        confidence,
        motion.camera,
        motion.objects[object_id],
        (clip.height, clip.width),
    )
    if windows is None:
        return _never_seen(track.masks)
    scene = ObjectScene(visible, whole, confidence, windows, motion.camera)
    told: dict[int, _Told] = {}
    for frame, drawn in drawn_frames(clip, scene, answers, on_frame):
        told[frame] = _told(track.masks[frame], drawn, query.amodal.get(frame), frame in clear)
    frames = [told[frame] for frame in range(len(clip))]
    return _joined(track.masks, frames, clear, frozenset(query.amodal))


def _never_seen(visible: MaskStack) -> DrawnOcclusion:
    count = len(visible)
    nothing = MaskStack.empty(*visible.shape)
    return DrawnOcclusion(
        (FrameOcclusion(OcclusionLevel.NONE, None),) * count,
        (None,) * count,
        nothing,
        (Hypothesis(nothing, 0.0),),
    )


def _told(visible: Mask, drawn: Drawn, known: Mask | None, clear: bool) -> _Told:
    height, width = visible.shape
    count = len(drawn.amodal)
    hidden = [np.zeros_like(visible) for _ in range(count)]
    hiders = np.zeros_like(visible)
    if known is not None:
        hidden = [known & ~visible] * count
        hiders = hidden[0]
    elif not clear and drawn.box is not None:
        inside = drawn.box.slices
        free = ~visible[inside]
        for mask, logits in zip(hidden, drawn.amodal, strict=True):
            mask[inside] = _clean((logits > 0) & free, visible[inside], drawn)
        hiders[inside] = (drawn.front > 0) & free
        hiders |= np.logical_or.reduce(hidden)
    seen, unseen = int(visible.sum()), int(hidden[0].sum())
    amount = unseen / (seen + unseen) if seen + unseen else None
    return _Told(
        tuple(MaskStack((mask,), height, width) for mask in hidden),
        MaskStack((hiders,), height, width),
        amount,
        _whole_box(box_of(visible | hidden[0]), drawn.beyond, height, width),
        1.0 if clear or known is not None else drawn.quality,
    )


def _clean(missing: Mask, visible: Mask, drawn: Drawn) -> Mask:
    """The hidden part: nothing where the drawing holds the object for whole, or what is missing is
    too little for a level, and no slivers along the outline of what is visible, which come from the
    windows' cells."""
    nothing = np.zeros_like(missing)
    if drawn.occluded < 0.5:
        return nothing
    size = float(np.sqrt(np.count_nonzero(missing | visible)))
    hidden = hidden_part(missing, nothing, size, drawn.cell / 2)
    return nothing if hidden.sum() <= NO_UP_TO * (hidden | visible).sum() else hidden


def _whole_box(inside: Box | None, beyond: Box | None, height: int, width: int) -> Box | None:
    """The box of the amodal mask, carried on beyond the border by what was drawn there."""
    if inside is None or beyond is None:
        return inside
    return Box(
        min(inside.y0, beyond.y0) if inside.y0 <= 0 else inside.y0,
        min(inside.x0, beyond.x0) if inside.x0 <= 0 else inside.x0,
        max(inside.y1, beyond.y1) if inside.y1 >= height else inside.y1,
        max(inside.x1, beyond.x1) if inside.x1 >= width else inside.x1,
    )


def _joined(
    visible: MaskStack, told: list[_Told], clear: frozenset[int], known: frozenset[int]
) -> DrawnOcclusion:
    amounts = [one.amount for one in told]
    hidden = {frame for frame in known if (amounts[frame] or 0.0) > NO_UP_TO}
    gone = _gone(visible, amounts)
    gone -= _seen_with(gone, visible, hidden)
    frames, boxes = [], []
    for frame, one in enumerate(told):
        if frame in gone or one.amount is None:
            frames.append(FrameOcclusion(OcclusionLevel.NONE, None))
        elif frame in clear:
            frames.append(FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0))
        else:
            frames.append(FrameOcclusion(level_of(one.amount), one.amount))
        absent = frame in gone and visible.boxes[frame] is None
        boxes.append(None if absent else one.box)
    _, height, width = visible.shape
    hiders = MaskStack((one.hiders[0] for one in told), height, width)
    hypotheses = _hypotheses(visible, told, gone)
    return DrawnOcclusion(tuple(frames), tuple(boxes), hiders, hypotheses)


def _gone(visible: MaskStack, amounts: list[float | None]) -> frozenset[int]:
    """Frames of level `NONE`: TABE's rule, except that an object which first appears from behind
    something was there before."""
    leaving = frames_leaving(visible)
    seen = [frame for frame, box in enumerate(visible.boxes) if box is not None]
    if not seen or seen[0] in leaving:
        return leaving
    amount = max(amounts[frame] or 0.0 for frame in seen[:_FIRST_SEEN])
    return leaving - (frozenset(range(seen[0])) if 1 - amount < _EMERGING_SHARE else frozenset())


def _seen_with(gone: frozenset[int], visible: MaskStack, hidden: set[int]) -> frozenset[int]:
    """Frames of `gone`, something of the object seen, in one row with one of `hidden`.

    There the annotator has drawn a hidden part: the object is at the border and hidden besides,
    which TABE's rule does not tell from leaving.
    """
    found: set[int] = set()
    for start in hidden & gone:
        for step in (1, -1):
            frame = start
            while frame in gone and visible.boxes[frame] is not None:
                found.add(frame)
                frame += step
    return frozenset(found)


def _hypotheses(
    visible: MaskStack, told: list[_Told], gone: frozenset[int]
) -> tuple[Hypothesis, ...]:
    """The first, and those that differ from all before them where something is hidden.

    Frames in which the object leaves keep their visible mask (TABE, section 8 of the reference).
    """
    quality = np.array([one.quality for one in told if one.amount is not None] or [0.0])
    found: list[Hypothesis] = []
    kept: list[int] = []
    for number in range(len(told[0].hidden)):
        likeness = [_likeness(told, number, other) for other in kept]
        if any(alike > _SAME for alike in likeness):
            continue
        masks = (
            visible[frame] | one.hidden[number][0] if frame not in gone else visible[frame]
            for frame, one in enumerate(told)
        )
        score = float(quality.mean()) * (0.9 ** len(kept))
        found.append(Hypothesis(MaskStack(masks, visible.height, visible.width), score))
        kept.append(number)
    return tuple(found)


def _likeness(told: list[_Told], first: int, second: int) -> float:
    """IoU of two hypotheses' hidden parts, over the whole clip; 1 where both hide nothing."""
    both = either = 0
    for one in told:
        a, b = one.hidden[first][0], one.hidden[second][0]
        both += int(np.count_nonzero(a & b))
        either += int(np.count_nonzero(a | b))
    return both / either if either else 1.0


def within_hiders(
    hypotheses: tuple[Hypothesis, ...], visible: MaskStack, hiders: MaskStack
) -> tuple[Hypothesis, ...]:
    """The same with hidden parts only where `hiders` says that something may hide the object."""

    def limited(hypothesis: Hypothesis) -> Hypothesis:
        masks = (
            visible[frame] | (hypothesis.amodal[frame] & hiders[frame])
            for frame in range(len(visible))
        )
        return replace(hypothesis, amodal=MaskStack(masks, visible.height, visible.width))

    return tuple(limited(hypothesis) for hypothesis in hypotheses)
