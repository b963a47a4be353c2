"""Which of the two directions in time knows an object's whole shape."""

from __future__ import annotations

import cv2
import numpy as np

from napari_amodal.draft.shapes import NEVER, Shape
from napari_amodal.draft.trajectory import JoinedShape

#: A shape is incomplete if more than this share of its outline borders on what was never seen.
_UNKNOWN_OUTLINE = 0.1
#: A pose that rests on more frames of unseen motion than this settles nothing.
_MOST_DOUBT = 2.0
#: An incomplete shape of less than this share of the other's area settles nothing either.
_LEAST_AREA = 0.5


def knowing_sides(joined: JoinedShape) -> JoinedShape:
    """Drop the direction that has seen only a part of an object which the other knows whole.

    An object that comes out from behind something, or into the frame, is a sliver to those who meet
    it there: the mean of its pose and the true one is wrong.
    """
    before, after = joined.before, joined.after
    if before is None or after is None or before.is_empty or after.is_empty:
        return joined
    if _knows_less(before, after):
        return JoinedShape(None, after)
    if _knows_less(after, before):
        return JoinedShape(before, None)
    return joined


def _knows_less(shape: Shape, other: Shape) -> bool:
    if not _is_incomplete(shape) or _is_incomplete(other):
        return False
    area, others = shape.area_and_centre()[0], other.area_and_centre()[0]
    return other.doubt <= _MOST_DOUBT or area < _LEAST_AREA * others


def _is_incomplete(shape: Shape) -> bool:
    inside = (shape.distance > 0).view(np.uint8)
    beside = (cv2.dilate(inside, np.ones((3, 3), np.uint8)) > 0) & (inside == 0)
    unknown = np.count_nonzero(beside & (shape.age >= NEVER - 1))
    return bool(unknown > _UNKNOWN_OUTLINE * np.count_nonzero(beside))
