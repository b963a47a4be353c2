"""Where a remembered shape can be at all: what one frame shows must agree with it."""

from __future__ import annotations

import numpy as np

from napari_amodal.draft.shapes import Shape, View, outside_frame, sampled
from napari_amodal.masks import Mask

#: Share of the shape's area that may disagree with a frame before other places are tried, and by
#: which factor another place has to agree better.
_DISAGREES = 0.3
_BETTER = 0.5
#: Share of the shape that has to lie where something may hide it for it to be behind that.
_BEHIND = 0.95


def placed(shape: Shape, view: View) -> Shape:
    """Shift a shape to where it explains a frame, if its predicted place plainly does not.

    After fast motion, or when it comes back from behind something, the prediction may be too far
    off for the outline to be fitted. The visible part is then an end of the object: the shape is
    tried with its middle and with each side and corner on that part's own. The place counts where
    the shape holds the visible part and the rest of it is not on plain background.
    """
    whole = shape.box()
    predicted = _disagreement(shape, view)
    if whole is None or view.visible is None or predicted < _DISAGREES:
        return shape
    seen = view.visible[0]
    x = (seen.x0 - whole.x0, seen.center[1] - whole.center[1], seen.x1 - whole.x1)
    y = (seen.y0 - whole.y0, seen.center[0] - whole.center[0], seen.y1 - whole.y1)
    shifts = np.array([(dx, dy) for dx in x for dy in y], np.float64)
    shifts = shifts[np.argsort(np.hypot(*shifts.T), kind="stable")]
    places = [shape.moved(np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])) for dx, dy in shifts]
    costs = [_disagreement(place, view) for place in places]
    best = int(np.argmin(np.round(costs, 2)))  # the nearest of equals
    return places[best] if costs[best] < _BETTER * predicted else shape


def is_behind(shape: Shape, view: View) -> bool:
    """Whether a shape lies wholly where something may hide it."""
    inside = shape.distance > 0
    return bool(inside.any() and _may_hide(shape, view)[inside].mean() >= _BEHIND)


def _disagreement(shape: Shape, view: View) -> float:
    """Area of the visible part beyond the shape and of the shape on plain background, as a share of
    the shape's."""
    inside = shape.distance > 0
    seen = sampled(view.visible, shape.pose, len(shape.distance))
    visible = float(view.visible[1].sum()) / shape.scale**2 if view.visible is not None else 0.0
    beyond = max(0.0, visible - float(seen[inside].sum()))
    plain = inside & (seen < 0.5) & ~_may_hide(shape, view)
    return (beyond + float(plain.sum())) / max(float(inside.sum()), 1.0)


def _may_hide(shape: Shape, view: View) -> Mask:
    cells = len(shape.distance)
    hiding = sampled(view.hiders, shape.pose, cells) + sampled(view.still, shape.pose, cells) > 0.5
    return np.asarray(hiding | outside_frame(shape.pose, cells, view.height, view.width), np.bool_)
