"""Motion between two frames: dense optical flow, what of it can be trusted, and robust fits.

Transforms are 3 x 3 float64 matrices that act on ``(x, y, 1)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Transform = NDArray[np.floating[Any]]

#: Fewest points for a fit, and the most that it looks at.
FEWEST_POINTS, FIT_POINTS = 12, 600


@dataclass(frozen=True)
class PairFlow:
    """Optical flow between a frame and the one tracked before it.

    Attributes
    ----------
    back : ndarray
        float32 ``(H, W, 2)``: where each pixel of the new frame was in the old one, as an offset
        ``(dx, dy)``.
    trust : ndarray
        float32 ``(H, W)``, 0..1: whether flow there and back again agree; low where something
        has just been uncovered or covered.
    """

    back: Float
    trust: Float


@dataclass(frozen=True)
class Fit:
    """A motion old to new, and the share of the points that follow it."""

    motion: Transform
    share: float


#: How the motion of a region is told from flow; None where it is not to be.
Fitting = Callable[[Float, NDArray[np.bool_], float], Fit | None]


def grid(height: int, width: int) -> Float:
    """The coordinates ``(x, y)`` of each pixel, float32 ``(H, W, 2)``."""
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([xs, ys])


def dense_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Float:
    """Offsets ``(H, W, 2)`` that take pixels of `first` to `second`, both grey ``(H, W)``.

    Dense inverse search: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.
    """
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if min(first.shape) < 4 * method.getPatchSize():
        return np.zeros((*first.shape, 2), np.float32)
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
    # OpenCV's stub wants a first guess, which there need not be.
    return np.asarray(method.calc(first, second, None), np.float32)  # type: ignore[call-overload]


def pair_flow(old: NDArray[np.uint8], new: NDArray[np.uint8]) -> PairFlow:
    """Flow from `new` back to `old`, checked against the flow forward.

    The check allows an error that grows with the motion, as in Sundaram et al., Dense Point
    Trajectories by GPU-accelerated Large Displacement Optical Flow, ECCV 2010, eq. 5.
    """
    back, forward = dense_flow(new, old), dense_flow(old, new)
    source = grid(*new.shape) + back
    returned = _taken(forward, back, cv2.BORDER_REPLICATE)
    error = np.sum((back + returned) ** 2, axis=2)
    allowed = 0.5 + 0.01 * (np.sum(back**2, axis=2) + np.sum(returned**2, axis=2))
    inside = (
        (source[..., 0] >= 0)
        & (source[..., 1] >= 0)
        & (source[..., 0] <= new.shape[1] - 1)
        & (source[..., 1] <= new.shape[0] - 1)
    )
    return PairFlow(back, (np.exp(-error / (2 * allowed)) * inside).astype(np.float32))


def _taken(image: Float, back: Float, border: int) -> Float:
    """`image` at each pixel's own place plus its offset."""
    source = grid(*back.shape[:2]) + back
    taken = cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(taken, np.float32)


def warp_by_flow(image: Float, back: Float) -> Float:
    """`image` of the old frame as it lies in the new one; 0 beyond the frame."""
    return _taken(image, back, cv2.BORDER_CONSTANT)


def fit_similarity(back: Float, where: NDArray[np.bool_], tolerance: float) -> Fit | None:
    """The similarity transform old to new that most pixels of a region follow.

    Parameters
    ----------
    back : ndarray
        float32 ``(H, W, 2)``, offsets new to old.
    where : ndarray
        bool ``(H, W)``, the region in the new frame.
    tolerance : float
        Pixels that a point may be off.

    Returns
    -------
    Fit, or None where there are too few points or they follow nothing believable.
    """
    points = _points(where)
    if points is None:
        return None
    new = points.astype(np.float32)
    old = new + back[points[:, 1], points[:, 0]]
    matrix, inliers = cv2.estimateAffinePartial2D(
        old, new, method=cv2.RANSAC, ransacReprojThreshold=tolerance
    )
    if matrix is None or not 0.8 < float(np.hypot(matrix[0, 0], matrix[1, 0])) < 1.25:
        return None
    return Fit(np.vstack([matrix, [0, 0, 1]]), float(np.mean(inliers)))


def fit_translation(back: Float, where: NDArray[np.bool_], tolerance: float) -> Fit | None:
    """As `fit_similarity`, for a region that is too small a part to tell size and turn from."""
    points = _points(where)
    if points is None:
        return None
    moves = -back[points[:, 1], points[:, 0]]
    move = np.median(moves, axis=0)
    share = np.mean(np.hypot(*(moves - move).T) < tolerance)
    return Fit(translation(float(move[0]), float(move[1])), float(share))


def _points(where: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Some pixels ``(x, y)`` of a region, None where it is too small for a fit."""
    ys, xs = np.nonzero(where)
    if len(ys) < FEWEST_POINTS:
        return None
    chosen = np.linspace(0, len(ys) - 1, min(FIT_POINTS, len(ys))).astype(int)
    return np.column_stack([xs[chosen], ys[chosen]])


def camera_motion(pair: PairFlow, objects: Iterable[Float], before: Transform) -> Transform:
    """The motion old to new of what lies around the objects.

    A large occluder may fill more of the frame than the scene does: of the two motions that most
    of the frame follows, the one more like the motion `before` is the camera's.

    Parameters
    ----------
    objects : iterable of ndarray
        The objects' chances ``(H, W)`` on the old frame.
    before : ndarray
        The camera's motion one frame earlier.
    """
    outside = pair.trust > 0.5
    for chance in objects:
        around = np.asarray(cv2.dilate(chance, np.ones((9, 9), np.uint8)), np.float32)
        outside &= warp_by_flow(around, pair.back) < 0.5
    points = grid(*outside.shape)
    enough = 0.1 * outside.sum()
    motions: list[Transform] = []
    while len(motions) < 2 and outside.sum() > enough:
        fit = fit_similarity(pair.back, outside, 1.0)
        if fit is None or fit.share * outside.sum() < enough:
            break
        motions.append(fit.motion)
        error = offsets(np.linalg.inv(fit.motion), points) - pair.back
        outside &= np.sum(error**2, axis=2) > 4
    corners = points[:: max(1, points.shape[0] - 1), :: max(1, points.shape[1] - 1)]
    usual = offsets(before, corners)
    return min(
        motions,
        key=lambda motion: float(np.sum((offsets(motion, corners) - usual) ** 2)),
        default=before,
    )


def offsets(transform: Transform, points: Float) -> Float:
    """How far a transform moves each point of ``(..., 2)``."""
    moved = points @ transform[:2, :2].T + transform[:2, 2]
    return np.asarray(moved - points, np.float32)


def translation(dx: float, dy: float) -> Transform:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float64)


def scaling(factor: float, x: float, y: float) -> Transform:
    """Scaling about the point ``(x, y)``."""
    return np.array(
        [[factor, 0, x * (1 - factor)], [0, factor, y * (1 - factor)], [0, 0, 1]], np.float64
    )
