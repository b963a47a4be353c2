"""How the camera and the objects move from each frame to the next.

Both come from corners followed by pyramidal Lucas-Kanade (Bouguet 2001): those outside every object
give the camera's motion as a homography, those inside an object's visible masks a similarity.
Transforms are 3 x 3 matrices on ``(x, y, 1)`` in full-resolution pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip, Frame
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch

Transform = NDArray[np.float64]

#: Corners are followed in frames of at most this side, in pixels: bounds the cost for any clip.
_LONGEST_SIDE = 640
_CAMERA_CORNERS = 300
_OBJECT_CORNERS = 120
#: A corner counts if following it back ends within this many working pixels of where it began.
_BACK_AND_FORTH = 0.7
_RANSAC_PIXELS = 1.5
_LEAST_CAMERA_CORNERS = 12
_LEAST_OBJECT_CORNERS = 6


@dataclass(frozen=True)
class ClipMotion:
    """Motion between consecutive frames.

    Attributes
    ----------
    camera : tuple of ndarray
        ``T - 1`` homographies; number t takes the background of frame t to frame t + 1. The
        identity where it could not be told.
    objects : mapping of int to tuple of (ndarray or None)
        For each object ``T - 1`` similarities, None where too little of it is seen to tell.
    """

    camera: tuple[Transform, ...]
    objects: Mapping[int, tuple[Transform | None, ...]]


@dataclass(frozen=True)
class _View:
    """A frame prepared for following corners."""

    grey: NDArray[np.uint8]
    masks: Mapping[int, NDArray[np.uint8]]
    scale: float


def measure_motion(
    clip: Clip, visible: Mapping[int, MaskStack], watch: Watch, steps: tuple[int, int]
) -> ClipMotion:
    """Follow corners through the whole clip, reading each frame once.

    Parameters
    ----------
    clip : Clip
    visible : mapping of int to MaskStack
        Visible masks by object id.
    watch : Watch
    steps : tuple of int
        Steps of the stage that are done before, and all of them; each frame here is one more.
    """
    camera: list[Transform] = []
    objects: dict[int, list[Transform | None]] = {object_id: [] for object_id in visible}
    before: _View | None = None
    for index, frame in enumerate(clip):
        view = _view(frame, {key: stack[index] for key, stack in visible.items()})
        if before is not None:
            camera.append(_camera_motion(before, view))
            for object_id, found in objects.items():
                found.append(_object_motion(before, view, object_id))
        before = view
        watch.step(steps[0] + index + 1, steps[1])
    return ClipMotion(tuple(camera), {key: tuple(found) for key, found in objects.items()})


def _view(frame: Frame, masks: Mapping[int, Mask]) -> _View:
    height, width = frame.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    small = {
        key: np.asarray(
            cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_AREA), np.uint8
        )
        for key, mask in masks.items()
    }
    return _View(np.asarray(grey, np.uint8), small, scale)


def _camera_motion(before: _View, after: _View) -> Transform:
    background = np.full(before.grey.shape, 255, np.uint8)
    for mask in before.masks.values():
        background[cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0] = 0
    start, end = _follow(before, after, background, _CAMERA_CORNERS, 0.01)
    if len(start) < _LEAST_CAMERA_CORNERS:
        return np.eye(3)
    found, inliers = cv2.findHomography(
        start, end, cv2.RANSAC, _RANSAC_PIXELS, maxIters=300, confidence=0.99
    )
    if found is None or int(inliers.sum()) < _LEAST_CAMERA_CORNERS:
        return np.eye(3)
    homography = np.asarray(found, np.float64)
    return _full_size(homography, before.scale) if _is_sane(homography) else np.eye(3)


def _object_motion(before: _View, after: _View, object_id: int) -> Transform | None:
    eroded = cv2.erode(before.masks[object_id], np.ones((3, 3), np.uint8))
    inside = np.asarray(eroded, np.uint8) * np.uint8(255)
    start, end = _follow(before, after, inside, _OBJECT_CORNERS, 0.005)
    if len(start):
        landing = cv2.dilate(after.masks[object_id], np.ones((5, 5), np.uint8))
        landed = _lookup(np.asarray(landing, np.uint8), end)
        start, end = start[landed], end[landed]
    if len(start) < _LEAST_OBJECT_CORNERS:
        return None
    found, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PIXELS, maxIters=300
    )
    if found is None or int(inliers.sum()) < max(_LEAST_OBJECT_CORNERS, 0.3 * len(start)):
        return None
    similarity = np.vstack([found, [0.0, 0.0, 1.0]])
    return _full_size(similarity, before.scale) if _is_sane(similarity) else None


def _follow(
    before: _View, after: _View, where: NDArray[np.uint8], count: int, quality: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners of one view and where the next shows them, each ``(N, 2)`` as x, y."""
    none = np.empty((0, 2), np.float32)
    corners: Any = cv2.goodFeaturesToTrack(before.grey, count, quality, 5, mask=where)
    if corners is None:
        return none, none
    start = np.asarray(corners, np.float32).reshape(-1, 2)
    end, found = _flow(before.grey, after.grey, start)
    back, found_back = _flow(after.grey, before.grey, end)
    error = np.linalg.norm(back - start, axis=1)
    good = found & found_back & (error < _BACK_AND_FORTH)
    return start[good], end[good]


def _flow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], start: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, start, np.empty_like(start), winSize=(15, 15), maxLevel=3
    )
    return np.asarray(end, np.float32).reshape(-1, 2), np.asarray(found).ravel() > 0


def _lookup(mask: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.bool_]:
    columns, rows = np.rint(points).astype(int).T
    height, width = mask.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    inside[inside] = mask[rows[inside], columns[inside]] > 0
    return np.asarray(inside, np.bool_)


def _is_sane(transform: Transform) -> bool:
    """Whether a motion between neighbouring frames is one that a camera or an object makes."""
    area = float(np.linalg.det(transform[:2, :2]))
    return bool(np.isfinite(transform).all()) and 0.5 < area < 2.0


def _full_size(transform: Transform, scale: float) -> Transform:
    """A transform of working pixels as one of full-resolution pixels."""
    down = np.array(
        [[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]], np.float64
    )
    full = np.linalg.inv(down) @ transform @ down
    return np.asarray(full / full[2, 2], np.float64)
