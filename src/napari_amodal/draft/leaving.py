"""In which frames an object is leaving the frame, or gone from it."""

from __future__ import annotations

from napari_amodal.boxes import Box
from napari_amodal.masks import MaskStack


def frames_leaving(visible: MaskStack) -> frozenset[int]:
    """Frames of level `NONE` by the rule of TABE (reference of the method, section 3).

    The object is leaving when its visible box touches the border in this frame and in the next, or
    the next mask is empty, or it was leaving in the frame before. An empty mask keeps the state of
    the frame before, and the first frame that of one in which the object was not there yet. So an
    object behind an occluder at the start counts as not there: TABE's rule does not tell the two
    apart.
    """
    _, height, width = visible.shape
    boxes = visible.boxes
    leaving: set[int] = set()
    gone = True
    for frame, box in enumerate(boxes):
        if box is not None:
            following = boxes[frame + 1] if frame + 1 < len(boxes) else None
            gone = touches_border(box, height, width) and (
                gone or following is None or touches_border(following, height, width)
            )
        if gone:
            leaving.add(frame)
    return frozenset(leaving)


def touches_border(box: Box, height: int, width: int) -> bool:
    """Whether a box reaches the first row or column, or comes within a pixel of the last."""
    return box.y0 <= 0 or box.x0 <= 0 or box.y1 >= height - 1 or box.x1 >= width - 1
