"""The amodal box of one frame, from what is seen, what is hidden, and the shape carried along."""

from __future__ import annotations

from napari_amodal.boxes import Box


def amodal_box(
    seen: Box | None, hidden: Box | None, whole: Box | None, height: int, width: int
) -> Box | None:
    """The box of the object in one frame; it may reach beyond the frame.

    An edge of the visible box with nothing nearer beyond it is an edge of the object: no hidden
    part lies there. So inside the frame the box is that of the visible and the hidden part, and the
    carried shape says only how far it goes on beyond a border that it reaches.

    Parameters
    ----------
    seen, hidden : Box or None
        Boxes of the visible part and of the part that is hidden within the frame.
    whole : Box or None
        Box of the carried shape.
    height, width : int
        Size of the frame.
    """
    inside = hidden if seen is None else seen if hidden is None else seen.union(hidden)
    if inside is None or whole is None:
        return inside
    return Box(
        min(inside.y0, whole.y0) if inside.y0 <= 0 else inside.y0,
        min(inside.x0, whole.x0) if inside.x0 <= 0 else inside.x0,
        max(inside.y1, whole.y1) if inside.y1 >= height else inside.y1,
        max(inside.x1, whole.x1) if inside.x1 >= width else inside.x1,
    )
