"""Fitting the pose of a remembered shape to what one frame shows of its outline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.draft.motion import Transform
from napari_amodal.draft.shapes import Shape, View, outside_frame, sampled

Vector = NDArray[np.float64]

#: Widths, in cells, within which an outline point still counts as one of the shape's own outline,
#: one for each iteration; less where the pose is hardly in doubt.
_WIDTHS = (6.0, 4.0, 3.0, 2.0, 2.0)
#: The outline's points together weigh no more than this many independent ones.
_MOST_POINTS = 30.0
#: Weight of a point with something beyond it that may hide the object.
_DOUBTFUL_POINT = 0.3
#: How far shift (cells), scale (log) and angle (radians) may be off after a frame that was followed
#: well, and by how much that grows with the pose's doubt.
_SPREAD = np.array([1.0, 1.0, 0.015, 0.02])
_SPREAD_GROWTH = np.array([2.0, 2.0, 0.004, 0.004])
_LARGEST_CHANGE = np.array([np.inf, np.inf, 0.15, 0.15])


def fitted(shape: Shape, view: View) -> Shape:
    """Move, scale and turn a shape so that the visible outline lies on its own.

    An outline point inside the shape may be the edge of what hides it: a redescending weight
    (Tukey's biweight) drops it where it lies deep. One outside is always the object's own: the
    shape is drawn out to it (Huber's weight).
    """
    points, trust = _outline(view, shape)
    if len(points) < 8:
        return shape
    middle = (len(shape.distance) - 1) / 2
    slope_y, slope_x = (np.asarray(slope) for slope in np.gradient(shape.distance))
    spread = _SPREAD + _SPREAD_GROWTH * min(shape.doubt, 20.0)
    precision = np.diag(1.0 / spread**2)
    change = np.zeros(4)
    for width in np.minimum(_WIDTHS, 2.0 + 2.0 * shape.doubt).tolist():
        x, y = (points - middle).T
        # where in the shape's own grid the outline lies after the change
        own_x = points[:, 0] - (change[0] + change[2] * x - change[3] * y)
        own_y = points[:, 1] - (change[1] + change[2] * y + change[3] * x)
        error = _look_up(shape.distance, own_x, own_y) - 0.5
        gx, gy = _look_up(slope_x, own_x, own_y), _look_up(slope_y, own_x, own_y)
        rates = -np.stack([gx, gy, gx * x + gy * y, gy * x - gx * y], axis=1)
        weight = trust * _weights(error, width)
        weight *= min(1.0, _MOST_POINTS / max(weight.sum(), 1e-6))
        normal = rates.T @ (rates * weight[:, None]) + precision
        change = change + np.linalg.solve(
            normal, -(rates.T @ (weight * error)) - precision @ change
        )
        change = change.clip(-_LARGEST_CHANGE, _LARGEST_CHANGE)
    return replace(shape, pose=shape.pose @ _similarity(change, middle))


def _outline(view: View, shape: Shape) -> tuple[Vector, Vector]:
    """Points ``(N, 2)`` of the visible outline in cells, as x, y, and how far each is trusted."""
    cells = len(shape.distance)
    seen = (sampled(view.visible, shape.pose, cells) > 0.5).view(np.uint8)
    contours, _ = cv2.findContours(seen, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.empty((0, 2)), np.empty(0)
    points = np.concatenate(contours).reshape(-1, 2)
    hiding = (sampled(view.hiders, shape.pose, cells) > 0.5).view(np.uint8)
    beside_hider = cv2.dilate(hiding, np.ones((3, 3), np.uint8)) > 0
    beyond = outside_frame(shape.pose, cells, view.height, view.width).view(np.uint8)
    at_border = cv2.dilate(beyond, np.ones((5, 5), np.uint8)) > 0
    columns, rows = points.T
    trust = np.where(beside_hider[rows, columns], _DOUBTFUL_POINT, 1.0)
    trust[at_border[rows, columns]] = 0.0
    edge = (columns == 0) | (rows == 0) | (columns == cells - 1) | (rows == cells - 1)
    trust[edge] = 0.0
    return points.astype(np.float64), trust * view.confidence


def _weights(error: Vector, width: float) -> Vector:
    inside = np.where(error < width, (1 - (error / width) ** 2) ** 2, 0.0)
    return np.where(error > 0, inside, np.minimum(1.0, width / np.maximum(-error, 1e-6)))


def _look_up(grid: NDArray[Any], x: Vector, y: Vector) -> Vector:
    found = cv2.remap(
        np.asarray(grid, np.float32),
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float64).ravel()


def _similarity(change: Vector, middle: float) -> Transform:
    dx, dy, log_scale, angle = change
    scale = np.exp(log_scale)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    centre = np.array([[1, 0, middle], [0, 1, middle], [0, 0, 1.0]])
    moved = np.array([[1, 0, middle + dx], [0, 1, middle + dy], [0, 0, 1.0]])
    return np.asarray(moved @ turn @ np.linalg.inv(centre), np.float64)
