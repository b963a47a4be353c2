"""Windows that follow the whole object, hidden or not, found from its visible boxes and motion.

A window is laid about the object's amodal box in each frame. Its path is a least squares fit over
the whole clip: the sides of the visible boxes, followed corners, and evenness of motion beside the
camera's. A side that lies further out than the path says is the object's own; one that lies further
in may be the edge of what hides the object, and counts the less the further in it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from napari_amodal.boxes import Box
from napari_amodal.draft.motion import Transform
from napari_amodal.draft.shapes import scale_of

Vector = NDArray[np.float64]

#: The window's sides as a multiple of the object's, over all frames.
_MARGIN = 1.7
#: How far a side may lie inside the path's and still count as the object's own, as a share of the
#: object's size, one for each iteration.
_WIDTHS = (1.0, 0.5, 0.3, 0.2, 0.15, 0.12)
_LEAST_WEIGHT = 0.01
#: Standard deviations, as shares of the object's size: sides of a box, motion by followed corners
#: and of its scale (log), and change of the velocity and of the growth from frame to frame.
_SIDE, _FOLLOWED, _FOLLOWED_SCALE, _JERK, _SCALE_JERK = 0.03, 0.008, 0.008, 0.015, 0.006
#: What is left of the velocity, a frame, of an object that is not seen again.
_SLOWING = 0.8


@dataclass(frozen=True)
class Window:
    """A window with its middle at ``(y, x)``, in pixels; the first pixel's own middle is at 0."""

    y: float
    x: float
    half_height: float
    half_width: float

    @property
    def size(self) -> float:
        """The longer side in pixels."""
        return 2 * max(self.half_height, self.half_width)

    def through(self, scaling: Transform) -> Window:
        """The window after a scaling and a shift, 3 x 3 on ``(x, y, 1)``."""
        return Window(
            float(scaling[1, 1] * self.y + scaling[1, 2]),
            float(scaling[0, 0] * self.x + scaling[0, 2]),
            float(scaling[1, 1] * self.half_height),
            float(scaling[0, 0] * self.half_width),
        )

    def to_frame(self, cells: int) -> Transform:
        """The transform from ``(x, y, 1)`` in cells to pixels of the frame."""
        across, down = 2 * self.half_width / cells, 2 * self.half_height / cells
        return np.array(
            [
                [across, 0, self.x - self.half_width + across / 2],
                [0, down, self.y - self.half_height + down / 2],
                [0, 0, 1],
            ]
        )


def window_path(
    boxes: Sequence[Box | None],
    whole: frozenset[int],
    confidence: NDArray[np.float32],
    camera: Sequence[Transform],
    motion: Sequence[Transform | None],
    size: tuple[int, int],
) -> tuple[Window, ...] | None:
    """A window for each frame; None where the object is never visible.

    Parameters
    ----------
    boxes : sequence of Box or None
        Visible boxes of the T frames.
    whole : frozenset of int
        Frames known to show the whole object.
    confidence : ndarray
        ``(T,)``, of the visible masks.
    camera, motion : sequence
        `ClipMotion.camera`, and the object's own entry in `ClipMotion.objects`.
    size : tuple of int
        Height and width of the frames.
    """
    seen = [frame for frame, box in enumerate(boxes) if box is not None]
    if not seen:
        return None
    path = _fitted(boxes, whole, confidence, camera, motion, size)
    # how far the object ever reaches from the path's centre, at the path's scale
    reach = []
    for frame in seen:
        box = boxes[frame]
        assert box is not None
        scale = np.exp(path[frame, 2])
        sides = np.array([box.x0, box.x1 - 1, box.y0, box.y1 - 1], float)
        reach.append((sides - path[frame, [0, 0, 1, 1]]) / scale)
    x0, x1, y0, y1 = np.diagonal(np.percentile(np.array(reach), (3, 97, 3, 97), axis=0))
    half_width, half_height = (x1 - x0) / 2 + 0.5, (y1 - y0) / 2 + 0.5
    half_width, half_height = max(half_width, half_height / 2), max(half_height, half_width / 2)
    return tuple(
        Window(
            float(y + scale * (y0 + y1) / 2),
            float(x + scale * (x0 + x1) / 2),
            float(max(_MARGIN * scale * half_height, 4.0)),
            float(max(_MARGIN * scale * half_width, 4.0)),
        )
        for x, y, scale in zip(path[:, 0], path[:, 1], np.exp(path[:, 2]), strict=True)
    )


class _Equations:
    """Weighted linear equations in the path's numbers: x, y and log scale of each frame."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: list[tuple[list[int], list[float], float]] = []

    def add(self, where: list[int], factors: list[float], value: float, spread: float) -> None:
        self._rows.append((where, [f / spread for f in factors], value / spread))

    def solved(self) -> Vector:
        """The least squares solution; no equation reaches further than two frames on."""
        size, band = 3 * self._count, 9
        normal, right = np.zeros((band, size)), np.zeros(size)
        for where, factors, value in self._rows:
            for i, factor in zip(where, factors, strict=True):
                right[i] += factor * value
                for j, other in zip(where, factors, strict=True):
                    if j <= i:
                        normal[i - j, j] += factor * other
        normal[0] += 1e-9 * normal[0].max()
        return np.asarray(solveh_banded(normal, right, lower=True)).reshape(-1, 3)


def _fitted(
    boxes: Sequence[Box | None],
    whole: frozenset[int],
    confidence: NDArray[np.float32],
    camera: Sequence[Transform],
    motion: Sequence[Transform | None],
    size: tuple[int, int],
) -> Vector:
    """The path ``(T, 3)``: x, y of the box's centre, log of its scale."""
    count = len(boxes)
    base = _base_box(boxes, whole)
    half = np.array([base.width / 2, base.height / 2])
    path = _first_guess(boxes, base)
    for width in _WIDTHS:
        equations = _Equations(count)
        _add_motion(equations, path, boxes, camera, motion, float(half.max()))
        for frame, box in enumerate(boxes):
            if box is not None:
                sure = 1.0 if frame in whole else float(np.clip(confidence[frame], 0.05, 1))
                known = frame in whole
                _add_sides(equations, path, frame, box, half, size, sure, width, known)
        path = equations.solved()
        path[:, 2] = path[:, 2].clip(-2.5, 2.5)
    return path


def _base_box(boxes: Sequence[Box | None], whole: frozenset[int]) -> Box:
    """The box whose scale is 1: the first that is known to be whole, else the largest."""
    known = [box for frame in sorted(whole) if (box := boxes[frame]) is not None]
    if known:
        return known[0]
    return max((box for box in boxes if box is not None), key=lambda box: box.area)


def _first_guess(boxes: Sequence[Box | None], base: Box) -> Vector:
    seen = [(frame, box) for frame, box in enumerate(boxes) if box is not None]
    frames = [frame for frame, _ in seen]
    rows = np.array(
        [
            (box.center[1] - 0.5, box.center[0] - 0.5, 0.5 * np.log(box.area / base.area))
            for _, box in seen
        ]
    )
    rows[:, 2] = rows[:, 2].clip(-0.7, 0.7)
    every = np.arange(len(boxes))
    return np.stack([np.interp(every, frames, rows[:, i]) for i in range(3)], axis=1)


def _add_sides(
    equations: _Equations,
    path: Vector,
    frame: int,
    box: Box,
    half: Vector,
    size: tuple[int, int],
    sure: float,
    width: float,
    known: bool,
) -> None:
    """The four sides of a visible box, but those at the border of the frame."""
    scale = float(np.exp(path[frame, 2]))
    height, across = size
    long = scale * float(half.max()) * 2
    # the ends of a sliver are hardly those of the whole object
    along = (
        min(1.0, box.height / (2 * scale * float(half[1]))) ** 2,
        min(1.0, box.width / (2 * scale * float(half[0]))) ** 2,
    )
    sides = (
        (0, -1, box.x0, box.x0 <= 0),
        (0, 1, box.x1 - 1, box.x1 >= across),
        (1, -1, box.y0, box.y0 <= 0),
        (1, 1, box.y1 - 1, box.y1 >= height),
    )
    for axis, way, place, at_border in sides:
        if at_border:
            continue
        reach = way * (half[axis] - 0.5)
        there = path[frame, axis] + reach * scale
        out = way * (place - there) / long
        if known:
            weight = 25.0
        elif out >= 0:
            weight = min(1.0, 0.1 / max(out, 1e-9))
        else:
            near = (1 - (out / width) ** 2) ** 2 if -out < width else 0.0
            weight = max(along[axis] * near, _LEAST_WEIGHT)
        spread = _SIDE * long / np.sqrt(weight * sure)
        # linear in the log of the scale, about the path's present one
        value = place - reach * scale * (1 - path[frame, 2])
        where = [3 * frame + axis, 3 * frame + 2]
        equations.add(where, [1.0, reach * scale], value, float(spread))


def _add_motion(
    equations: _Equations,
    path: Vector,
    boxes: Sequence[Box | None],
    camera: Sequence[Transform],
    motion: Sequence[Transform | None],
    half: float,
) -> None:
    """Followed corners between frames, and evenness of what the camera does not explain."""
    seen = [frame for frame, box in enumerate(boxes) if box is not None]
    steps = []
    for frame, step in enumerate(camera):
        long = 2 * half * float(np.exp(path[frame, 2]))
        drift, zoom = _motion_at(step, path[frame, :2])
        steps.append((drift, np.log(zoom)))
        own = motion[frame]
        if own is not None:
            shift, growth = _motion_at(own, path[frame, :2])
            for axis in (0, 1):
                where = [3 * frame + 3 + axis, 3 * frame + axis]
                equations.add(where, [1.0, -1.0], float(shift[axis]), _FOLLOWED * long + 0.3)
            where = [3 * frame + 5, 3 * frame + 2]
            equations.add(where, [1.0, -1.0], float(np.log(growth)), _FOLLOWED_SCALE)
    for frame in range(1, len(path) - 1):
        long = 2 * half * float(np.exp(path[frame, 2]))
        (drift, growth), (before, growth_before) = steps[frame], steps[frame - 1]
        # what was seen last, or is seen first later on, comes to rest beyond
        ahead = _SLOWING if frame >= seen[-1] else 1.0
        behind = _SLOWING if frame <= seen[0] else 1.0
        for axis in (0, 1):
            where = [3 * frame + 3 + axis, 3 * frame + axis, 3 * frame - 3 + axis]
            bend = float(behind * drift[axis] - ahead * before[axis])
            equations.add(where, [behind, -ahead - behind, ahead], bend, _JERK * long)
        where = [3 * frame + 5, 3 * frame + 2, 3 * frame - 1]
        bend = float(behind * growth - ahead * growth_before)
        equations.add(where, [behind, -ahead - behind, ahead], bend, _SCALE_JERK)
    for frame in range(len(path) - 1):  # keeps the path from running off at the ends
        long = 2 * half * float(np.exp(path[frame, 2]))
        drift, growth = steps[frame]
        for axis in (0, 1):
            where = [3 * frame + 3 + axis, 3 * frame + axis]
            equations.add(where, [1.0, -1.0], float(drift[axis]), 0.3 * long)
        equations.add([3 * frame + 5, 3 * frame + 2], [1.0, -1.0], float(growth), 0.05)


def _motion_at(step: Transform, place: Vector) -> tuple[Vector, float]:
    """Shift and zoom of a homography at a point ``(x, y)``."""
    there = step @ np.append(place, 1.0)
    zoom = scale_of(step) / max(abs(there[2]), 1e-6) ** 1.5
    return there[:2] / there[2] - place, float(np.clip(zoom, 0.8, 1.25))
