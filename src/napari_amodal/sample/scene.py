"""The scene of the sample clip: what is where in each frame, and how it is drawn.

A cup slides over a lawn, behind a brick column that stands in front of it, and an astronaut walks
past in front of both, while the camera pans. Lengths are in pixels of a frame 360 high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from napari_amodal.masks import Mask
from napari_amodal.sample.photographs import Cutout, Pixels, astronaut, cup, photograph, tinted

#: The scene's time runs from 0 to this; a clip spreads its frames over it.
LAST_MOMENT = 63.0
BASE_HEIGHT = 360

_COLUMN_WIDTH = 204
_CUP_SCALE = 0.44
_ASTRONAUT_SCALE = 0.65
_SHADOW_STRENGTH = 0.55


@dataclass(frozen=True)
class Pose:
    """Where a cut-out is: its anchor `x`, `y`, its scale, and its turn in degrees."""

    x: float
    y: float
    scale: float = 1.0
    turn: float = 0.0


def _path(*keys: tuple[float, float]) -> PchipInterpolator:
    """A smooth course through ``(moment, value)`` that does not overshoot."""
    moments, values = zip(*keys, strict=True)
    return PchipInterpolator(moments, values)  # type: ignore[no-untyped-call]


_CUP_X = _path((0, 104), (7, 132), (31, 428), (41, 496), (63, 536))
_CUP_Y = _path((0, 206), (16, 178), (38, 226), (63, 188))
_CUP_SIZE = _path((0, 0.94), (30, 0.84), (63, 1.0))
_CUP_TURN = _path((0, -7), (30, 9), (63, -4))
_CAMERA_X = _path((0, 0), (63, 64))
_CAMERA_Y = _path((0, 0), (25, 9), (63, 2))


def cup_pose(moment: float) -> Pose:
    return Pose(
        float(_CUP_X(moment)),
        float(_CUP_Y(moment)),
        float(_CUP_SIZE(moment)),
        float(_CUP_TURN(moment)),
    )


def astronaut_pose(moment: float) -> Pose:
    """She enters on the right at moment 35 and is gone on the left at 61, bobbing as she walks."""
    x = 800 - 37 * (moment - 35)
    return Pose(x, 372 + 5 * float(np.sin(moment * 0.9)), turn=1.5 * float(np.sin(moment * 0.45)))


def column_x(moment: float) -> float:
    """The middle of the column; it is nearer than the lawn and moves more with the camera."""
    return 306 - 1.25 * float(_CAMERA_X(moment))


class Scene:
    """Draws frames of `height` pixels and the exact masks of the cup.

    Parameters
    ----------
    height : int
        Height of a frame in pixels; it is 16/9 as wide.
    """

    def __init__(self, height: int) -> None:
        self.height = height
        self.width = round(height * 16 / 9)
        self._zoom = height / BASE_HEIGHT
        self._lawn = _lawn()
        self._cup = cup(_CUP_SCALE)
        self._cup_shadow = _shadow(self._cup)
        self._astronaut = astronaut(_ASTRONAUT_SCALE)
        self._column = _column()
        self._column_shadow = _shadow(self._column)

    def frame(self, moment: float) -> Pixels:
        """The picture at a moment, uint8 ``(H, W, 3)``, RGB."""
        pose, column = cup_pose(moment), self._column_pose(moment)
        picture = self._ground(moment)
        shade = Pose(pose.x + 7, pose.y + 13, pose.scale, pose.turn)
        picture = _over(picture, self._place(self._cup_shadow, shade))
        picture = _over(picture, self._place(self._cup, pose))
        picture = _over(picture, self._place(self._column_shadow, Pose(column.x + 22, column.y)))
        picture = _over(picture, self._place(self._column, column))
        return _over(picture, self._place(self._astronaut, astronaut_pose(moment)))

    def masks(self, moment: float) -> tuple[Mask, Mask]:
        """The cup's visible and amodal mask at a moment, bool ``(H, W)``."""
        amodal = self._covers(self._cup, cup_pose(moment))
        column = self._covers(self._column, self._column_pose(moment))
        person = self._covers(self._astronaut, astronaut_pose(moment))
        return amodal & ~column & ~person, amodal

    def _column_pose(self, moment: float) -> Pose:
        return Pose(column_x(moment), BASE_HEIGHT / 2)

    def _covers(self, cutout: Cutout, pose: Pose) -> Mask:
        """Where a cut-out covers more than half of a pixel."""
        alpha = Cutout(np.ascontiguousarray(cutout.pixels[..., 3]), cutout.anchor)
        return np.asarray(self._place(alpha, pose) > 127)

    def _place(self, cutout: Cutout, pose: Pose) -> Pixels:
        (x, y), zoom = cutout.anchor, self._zoom
        matrix = cv2.getRotationMatrix2D((x, y), pose.turn, pose.scale * zoom)
        move = np.array([[0, 0, pose.x * zoom - x], [0, 0, pose.y * zoom - y]])
        return self._warp(cutout.pixels, matrix + move, cv2.BORDER_CONSTANT)

    def _ground(self, moment: float) -> Pixels:
        shift = np.array([[1.0, 0, -_CAMERA_X(moment)], [0, 1.0, -_CAMERA_Y(moment)]])
        return self._warp(self._lawn, shift * self._zoom, cv2.BORDER_REFLECT)

    def _warp(self, pixels: Pixels, matrix: NDArray[Any], border: int) -> Pixels:
        size = (self.width, self.height)
        warped = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(warped, np.uint8)


def _over(picture: Pixels, layer: Pixels) -> Pixels:
    """A layer with premultiplied alpha laid over a picture."""
    keep = cv2.cvtColor(255 - layer[..., 3], cv2.COLOR_GRAY2RGB)
    kept = cv2.multiply(picture, keep, scale=1 / 255)
    return np.asarray(cv2.add(kept, np.ascontiguousarray(layer[..., :3])), np.uint8)


def _lawn() -> Pixels:
    """The ground, a little darker far away, and wide enough for the camera to pan over."""
    grass = tinted(photograph("grass.png"), dark=(22, 38, 12), light=(196, 206, 116))
    wide = cv2.resize(grass, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_CUBIC)[200:600]
    light = np.linspace(0.78, 1.08, wide.shape[0])[:, None, None]
    return np.asarray(np.clip(wide * light, 0, 255), np.uint8)


def _column() -> Cutout:
    """A round column of brick from above the frame to below it, lit from the left."""
    brick = tinted(photograph("brick.png"), dark=(122, 88, 66), light=(240, 220, 190))
    wall = cv2.resize(np.rot90(brick), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    across = (np.arange(_COLUMN_WIDTH) + 0.5) / _COLUMN_WIDTH * 2 - 1
    angle = np.arcsin(across)
    columns = (0.5 + angle / np.pi) * (_COLUMN_WIDTH * np.pi / 2 - 1) + 20
    rows = np.arange(wall.shape[0])
    grid = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    round_wall = cv2.remap(wall, grid[0], grid[1], cv2.INTER_LINEAR)
    light = 0.3 + 0.7 * np.clip(np.cos(angle + 0.7), 0, 1)
    pixels = np.dstack([round_wall * light[None, :, None], np.full(round_wall.shape[:2], 255.0)])
    padded = np.pad(np.asarray(pixels, np.uint8), ((0, 0), (2, 2), (0, 0)))
    return Cutout(padded, (padded.shape[1] / 2, padded.shape[0] / 2))


def _shadow(cutout: Cutout) -> Cutout:
    """The soft shadow that a cut-out throws, as a black layer."""
    pad = 24
    alpha = cv2.copyMakeBorder(cutout.pixels[..., 3], pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    soft = cv2.GaussianBlur(alpha, (0, 0), pad / 3) * _SHADOW_STRENGTH
    black = np.zeros((*alpha.shape, 4), np.uint8)
    black[..., 3] = soft
    return Cutout(black, (cutout.anchor[0] + pad, cutout.anchor[1] + pad))
