"""Putting what was found on a part of a clip into an object's masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from napari_amodal.annotation.hypotheses import hypothesis_mask
from napari_amodal.annotation.object_annotation import ObjectAnnotation, rounded, with_origin
from napari_amodal.engine import ObjectCompletion
from napari_amodal.export import Origin
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack
from napari_amodal.stages import Hypothesis, VisibleTrack

_Each = TypeVar("_Each")


def _spliced(stack: MaskStack, found: MaskStack, places: Mapping[int, int]) -> MaskStack:
    """A stack with frames (keys) taken from places (values) in one of a part of the clip."""
    frames = list(stack.packed)
    for frame, place in places.items():
        frames[frame] = found.packed[place]
    return MaskStack.from_packed(frames, stack.height, stack.width)


def retracked(
    annotated: ObjectAnnotation, found: VisibleTrack, places: Mapping[int, int]
) -> ObjectAnnotation:
    trust = rounded(found.confidence.tolist())
    return replace(
        annotated,
        visible=_spliced(annotated.visible, found.masks, places),
        visible_origin=with_origin(annotated.visible_origin, places, Origin.TRACKED),
        confidence=tuple(
            trust[places[frame]] if frame in places else old
            for frame, old in enumerate(annotated.confidence)
        ),
    )


def recompleted(
    annotated: ObjectAnnotation, found: ObjectCompletion, places: Mapping[int, int]
) -> ObjectAnnotation:
    levels = found.occlusion.frames
    gone = {frame for frame, at in places.items() if levels[at].level is OcclusionLevel.NONE}
    known = replace(
        annotated,
        leaving=(annotated.leaving - places.keys()) | gone,
        hypotheses=_hypotheses(annotated, found.hypotheses, places),
    )
    amodal = {frame: hypothesis_mask(known, known.picks[frame], frame) for frame in places}
    return replace(
        known,
        amodal=known.amodal.replaced(amodal),
        amodal_origin=with_origin(known.amodal_origin, places, Origin.COMPLETED),
    )


def _hypotheses(
    annotated: ObjectAnnotation, found: Sequence[Hypothesis], places: Mapping[int, int]
) -> tuple[Hypothesis, ...]:
    """The object's hypotheses with new masks on some frames, by rank; the best where one lacks."""
    old = annotated.hypotheses or (Hypothesis(annotated.amodal, found[0].score),)
    count = max(len(old), len(found))
    bases = (*old, *(replace(old[0], score=new.score) for new in found[len(old) :]))
    news = (*found, *(found[0] for _ in range(count - len(found))))
    return tuple(
        Hypothesis(_spliced(base.amodal, new.amodal, places), base.score)
        for base, new in zip(bases, news, strict=True)
    )


def taken(
    now: ObjectAnnotation, found: ObjectAnnotation, frames: Sequence[int]
) -> ObjectAnnotation:
    """The object with the masks of some frames, and what belongs to them, from another state."""
    chosen = frozenset(frames)

    def mixed(own: Sequence[_Each], other: Sequence[_Each]) -> tuple[_Each, ...]:
        return tuple(
            new if frame in chosen else old
            for frame, (old, new) in enumerate(zip(own, other, strict=True))
        )

    return replace(
        now,
        visible=now.visible.taking(found.visible, frames),
        amodal=now.amodal.taking(found.amodal, frames),
        visible_origin=mixed(now.visible_origin, found.visible_origin),
        amodal_origin=mixed(now.amodal_origin, found.amodal_origin),
        confidence=mixed(now.confidence, found.confidence),
        leaving=(now.leaving - chosen) | (found.leaving & chosen),
        hypotheses=found.hypotheses,
    )
