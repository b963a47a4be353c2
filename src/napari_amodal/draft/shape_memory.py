"""What a frame adds to the remembered shape of an object: what is seen, and what is not hidden."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from napari_amodal.draft.shapes import (
    FAR,
    NEVER,
    Grid,
    Shape,
    Sighting,
    View,
    laid_out,
    outside_frame,
    sampled,
    scale_of,
    signed_distance,
    warped,
)
from napari_amodal.masks import Mask

#: A part that is missing where something may hide it counts as hidden from this radius on, as a
#: share of the object's size; thinner ones are errors of outline and pose.
THIN = 0.015
#: The least such radius, in pixels of the frame: outlines are not drawn more exactly.
_THIN_PIXELS = 1.5
#: `THIN` behind things that stay in place, which are mostly background beside a limb that moved.
THIN_BEHIND_STILL = 0.05
#: What is missing but too thin to be called hidden fades at this rate a frame: it may yet grow, as
#: when the object slowly moves behind something.
_FADING = 0.2
#: How old knowledge counts at first that the object is not where a thing at rest is seen: that is
#: mostly background, but not surely. Each frame that repeats it makes it a frame younger.
_AGE_BEFORE_STILL = 6.0
#: Least frames, and least travel over the background as a share of the grid's side, between two
#: outlines that are compared: beside things at rest, and beside things that move.
_RECENT = (1, 0.04)
_DISTANT = (6, 0.06)


def first_shape(view: View, cells: int) -> Shape:
    """A shape from the first frame that shows anything of the object."""
    assert view.visible is not None
    pose = laid_out(view.visible[0], cells)
    seen = sampled(view.visible, pose, cells) > 0.5
    unknown = sampled(view.hiders, pose, cells) > 0.5
    unknown |= outside_frame(pose, cells, view.height, view.width)
    age = np.where(unknown & ~seen, NEVER, 0.0).astype(np.float32)
    still = sampled(view.still, pose, cells) > 0.5
    age[still & ~unknown & ~seen] = _AGE_BEFORE_STILL
    return Shape(signed_distance(seen), age, pose, 0.0)


def updated(shape: Shape, view: View) -> Shape:
    """Take over what a frame shows, keep the rest and let it age by a frame."""
    cells = len(shape.distance)
    shape = _laid_out_again(shape, view)
    seen = sampled(view.visible, shape.pose, cells) > 0.5
    beyond = outside_frame(shape.pose, cells, view.height, view.width)
    hiding = sampled(view.hiders, shape.pose, cells) > 0.5
    still = sampled(view.still, shape.pose, cells) > 0.5
    missing = (shape.distance > 0) & ~seen
    size = float(np.sqrt(np.count_nonzero(shape.distance > 0)))
    outline = signed_distance(seen)
    pixel = 1 / shape.scale
    hidden = hidden_part(missing & hiding, missing & still, size * view.slack, pixel)
    undecided = missing & (hiding | still) & ~hidden
    hidden &= ~_beside_own_outline(hidden, still, outline, shape)
    hidden |= missing & beyond
    unknown = hidden | ((hiding | beyond) & ~missing & ~seen)
    share = np.float32(view.confidence) * ~unknown
    share[undecided] *= _FADING
    # a cell of which nothing was ever known takes whatever is seen of it
    share[(shape.age >= NEVER) & ~unknown] = 1.0
    distance = shape.distance + share * (signed_distance(seen | hidden) - shape.distance)
    age = np.where(unknown, np.minimum(shape.age + 1, NEVER), 0.0).astype(np.float32)
    before_still = still & ~unknown & ~seen
    age[before_still] = (shape.age[before_still] - 1).clip(0, _AGE_BEFORE_STILL)
    return replace(
        shape,
        distance=distance.astype(np.float32),
        age=age,
        recent=_sightings(shape.recent, outline, _RECENT),
        distant=_sightings(shape.distant, outline, _DISTANT),
    )


def _sightings(
    earlier: tuple[Sighting, ...], outline: Grid, least: tuple[int, float]
) -> tuple[Sighting, ...]:
    if not earlier or earlier[-1].is_before(*least):
        return (*earlier[-1:], Sighting(outline, np.zeros(2), 0))
    return earlier


def _beside_own_outline(hidden: Mask, still: Mask, outline: Grid, shape: Shape) -> Mask:
    """Patches of `hidden` that border the object's own outline.

    An outline that stays in place on the object while the object moves over the background is the
    object's own: the edge of a thing at rest would have moved across it. That of a moving thing may
    go along with the object for a while, so this is asked over a longer time for patches that are
    not mostly behind things at rest (`still`).
    """
    refuted = np.zeros_like(hidden)
    if not hidden.any():
        return refuted
    count, labels = cv2.connectedComponents(hidden.view(np.uint8))
    area = np.bincount(labels.ravel(), minlength=count)
    at_rest = 2 * np.bincount(labels[still], minlength=count) > area
    around = cv2.dilate(labels.astype(np.uint16), np.ones((5, 5), np.uint8))
    edge = (outline > 0) & (outline < 1.0)
    bordering = np.bincount(around[edge], minlength=count)
    for earlier, least, asked in (
        (shape.recent, _RECENT, at_rest),
        (shape.distant, _DISTANT, ~at_rest),
    ):
        if not earlier or not earlier[0].is_before(*least):
            continue
        own = edge & (np.abs(earlier[0].distance) < 2.0)
        bordering_own = np.bincount(around[own], minlength=count)
        # a short border says little of a large patch
        refute = asked & (bordering_own > 0.6 * bordering) & (bordering_own**2 > area)
        refute[0] = False
        refuted |= refute[labels]
    return refuted


def hidden_part(behind_hiders: Mask, behind_still: Mask, size: float, pixel: float = 1.0) -> Mask:
    """Where a missing part is large enough to be hidden rather than moved or badly outlined.

    Parameters
    ----------
    behind_hiders, behind_still : ndarray
        Missing parts of the shape, bool ``(h, w)``, where something may hide them and where only
        a thing that stays in place could.
    size : float
        Square root of the shape's area, in the masks' own pixels, times `slack_of` the mask.
    pixel : float
        Side of a pixel of the frame, in the masks' own pixels.
    """
    either = behind_hiders | behind_still
    least = _THIN_PIXELS * pixel
    return _thick(behind_hiders, max(THIN * size, least)) | _thick(
        either, max(THIN_BEHIND_STILL * size, least)
    )


def _thick(mask: Mask, radius: float) -> Mask:
    """The parts of a mask into which a disc of this radius fits, with their corners."""
    if not mask.any():
        return mask
    deep = (
        cv2.distanceTransform(
            cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5
        )[1:-1, 1:-1]
        > radius
    )
    if not deep.any():
        return np.zeros_like(mask)
    reach = cv2.distanceTransform((~deep).view(np.uint8), cv2.DIST_L2, 5) <= 2 * radius + 1
    return np.asarray(mask & reach, np.bool_)


def _laid_out_again(shape: Shape, view: View) -> Shape:
    """The shape on a new grid where the old one has become too small or too coarse for it."""
    whole = shape.box()
    if view.visible is not None:
        whole = view.visible[0] if whole is None else whole.union(view.visible[0])
    if whole is None:
        return shape
    cells = len(shape.distance)
    pose = laid_out(whole, cells)
    growth = scale_of(pose) / shape.scale
    shift = np.linalg.inv(shape.pose) @ pose @ np.array([(cells - 1) / 2, (cells - 1) / 2, 1.0])
    if 0.75 < growth < 1.4 and np.abs(shift[:2] - (cells - 1) / 2).max() < 0.12 * cells:
        return shape
    there = np.linalg.inv(shape.pose) @ pose

    def moved(earlier: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        return tuple(
            replace(old, distance=warped(old.distance, there) / growth, travel=old.travel / growth)
            for old in earlier
        )

    return replace(
        shape,
        distance=(warped(shape.distance, there) / growth).clip(-FAR, FAR),
        age=warped(shape.age, there, NEVER),
        pose=pose,
        recent=moved(shape.recent),
        distant=moved(shape.distant),
    )
