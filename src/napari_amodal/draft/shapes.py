"""An object's shape on a grid that moves with it.

The shape is a signed distance in cells, positive inside, on a square grid; the pose, a similarity,
takes the grid to the frame. Each cell also holds its age: for how many frames nothing was seen of
it. So the grid remembers parts that are hidden now, and a part seen once is never lost.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.draft.motion import Transform
from napari_amodal.masks import Mask

Grid = NDArray[np.float32]

#: Share of the grid's side that the object's longer side takes when it is laid out.
_FILLED = 0.55
#: Age of a cell that was never seen.
NEVER = 255.0
#: Distances are kept up to this many cells, in steps of an eighth.
FAR = 15.0


@dataclass(frozen=True)
class View:
    """What one frame shows of the object.

    Attributes
    ----------
    visible, hiders, still : (Box, ndarray) or None
        Masks and the boxes that they fill, in pixels of the frame: the object, what may hide it,
        and what may hide it only where that explains a large missing part (`Surroundings.still`).
    height, width : int
        Size of the frame.
    confidence : float
        How far the visible mask is to be trusted, 0..1.
    """

    visible: tuple[Box, Mask] | None
    hiders: tuple[Box, Mask] | None
    still: tuple[Box, Mask] | None
    height: int
    width: int
    confidence: float

    @property
    def slack(self) -> float:
        """How much thicker a missing part has to be than with a mask that is certain."""
        return slack_of(self.confidence)


@dataclass(frozen=True)
class Sighting:
    """The visible part at an earlier frame.

    Attributes
    ----------
    distance : ndarray
        Signed distance to its outline, in cells of the shape's present grid.
    travel : ndarray
        How far the object has moved over the background since then, ``(x, y)`` in cells.
    frames : int
        How many frames ago it was.
    """

    distance: Grid
    travel: NDArray[np.float64]
    frames: int

    def is_before(self, frames: int, travel: float) -> bool:
        """Whether it was so many frames ago and so far away, as a share of the grid's side."""
        far = float(np.hypot(*self.travel)) >= travel * len(self.distance)
        return self.frames >= frames and far


@dataclass(frozen=True)
class Shape:
    """The shape at one frame.

    Attributes
    ----------
    distance : ndarray
        Signed distance to the outline, in cells, float32 ``(G, G)``.
    age : ndarray
        Frames since each cell was last seen, float32 ``(G, G)``; `NEVER` at most.
    pose : ndarray
        Similarity from ``(x, y, 1)`` in cells to pixels.
    doubt : float
        About how many frames' worth of unseen motion the pose rests on.
    recent, distant : tuple of Sighting
        What was seen at two earlier times each, the older first: see `shape_memory`.
    """

    distance: Grid
    age: Grid
    pose: Transform
    doubt: float
    recent: tuple[Sighting, ...] = ()
    distant: tuple[Sighting, ...] = ()

    @property
    def scale(self) -> float:
        """Pixels a cell."""
        return scale_of(self.pose)

    @property
    def is_empty(self) -> bool:
        return not bool((self.distance > 0).any())

    def area_and_centre(self) -> tuple[float, NDArray[np.float64]]:
        """Area in square pixels and centre ``(x, y)`` in pixels; the shape must not be empty."""
        rows, columns = np.nonzero(self.distance > 0)
        centre = self.pose @ np.array([columns.mean(), rows.mean(), 1.0])
        return len(rows) * self.scale**2, centre[:2]

    def box(self) -> Box | None:
        """The box of the whole shape in the frame, which it may leave; None where it is empty."""
        rows, columns = np.nonzero(self.distance > 0)
        if rows.size == 0:
            return None
        x, y, _ = self.pose @ np.stack([columns, rows, np.ones_like(rows)]).astype(float)
        half = self.scale / 2
        return Box(
            int(np.floor(y.min() - half + 0.5)),
            int(np.floor(x.min() - half + 0.5)),
            max(int(np.floor(y.min() - half + 0.5)) + 1, int(np.ceil(y.max() + half + 0.5))),
            max(int(np.floor(x.min() - half + 0.5)) + 1, int(np.ceil(x.max() + half + 0.5))),
        )

    def moved(self, motion: Transform) -> Shape:
        """The same shape after a similarity of the frame."""
        return replace(self, pose=motion @ self.pose)

    def travelled(self, pixels: NDArray[np.float64]) -> Shape:
        """The same shape after moving so far over the background in a frame."""
        cells = pixels / self.scale

        def older(sightings: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
            return tuple(
                replace(seen, travel=seen.travel + cells, frames=seen.frames + 1)
                for seen in sightings
            )

        return replace(self, recent=older(self.recent), distant=older(self.distant))

    def unseen(self) -> Shape:
        """The same shape after a frame that shows nothing of it: earlier outlines tell no more.

        Nor does what the frame shows at the place where the shape is guessed to be: where that is
        background the guess is wrong, not the shape.
        """
        age = np.minimum(self.age + 1, np.float32(NEVER))
        return replace(self, age=age, doubt=self.doubt + 1.0, recent=(), distant=())


def slack_of(confidence: float) -> float:
    return 1.0 + 2.0 * (1.0 - confidence)


def scale_of(similarity: Transform) -> float:
    return float(np.sqrt(abs(np.linalg.det(similarity[:2, :2]))))


def laid_out(box: Box, cells: int) -> Transform:
    """The pose of a grid in whose middle a box of the frame lies."""
    scale = max(max(box.height, box.width) / (_FILLED * cells), 1e-3)
    y, x = box.center
    middle = (cells - 1) / 2
    return np.array(
        [[scale, 0, x - 0.5 - scale * middle], [0, scale, y - 0.5 - scale * middle], [0, 0, 1.0]]
    )


def sampled(part: tuple[Box, Mask] | None, pose: Transform, cells: int) -> Grid:
    """The share of each cell that a mask covers, 0..1, float32 ``(cells, cells)``."""
    if part is None:
        return np.zeros((cells, cells), np.float32)
    box, mask = part
    image = mask.astype(np.uint8) * np.uint8(255)
    shrink = max(1.0, scale_of(pose))
    size = (max(1, round(box.width / shrink)), max(1, round(box.height / shrink)))
    if shrink > 1.0:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    sx, sy = image.shape[1] / box.width, image.shape[0] / box.height
    to_image = np.array(
        [[sx, 0, sx * (0.5 - box.x0) - 0.5], [0, sy, sy * (0.5 - box.y0) - 0.5], [0, 0, 1.0]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grid = cv2.warpAffine(image, (to_image @ pose)[:2], (cells, cells), flags=flags)
    return np.asarray(grid, np.float32) / np.float32(255)


def outside_frame(pose: Transform, cells: int, height: int, width: int) -> Mask:
    """Cells that lie beyond the frame."""
    x, y = np.meshgrid(np.arange(cells), np.arange(cells))
    px, py, _ = np.tensordot(pose, np.stack([x, y, np.ones_like(x)]), axes=1)
    return np.asarray((px < 0) | (py < 0) | (px > width - 1) | (py > height - 1), np.bool_)


def signed_distance(inside: Mask) -> Grid:
    """Distance to the outline in cells, positive inside, zero half-way between cells."""
    if not inside.any():
        return np.full(inside.shape, -FAR, np.float32)
    within = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform((~inside).view(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(np.where(inside, within - 0.5, 0.5 - beyond).clip(-FAR, FAR), np.float32)


def warped(values: Grid, there: Transform, beyond: float = -FAR) -> Grid:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(values, there[:2], values.shape[::-1], flags=flags, borderValue=beyond)
    return np.asarray(found, np.float32)


def drawn(shape: Shape, box: Box, step: float) -> tuple[Grid, Grid]:
    """Signed distance in pixels, and age, over a box of the frame sampled every `step` pixels."""
    size = (int(np.ceil(box.width / step)), int(np.ceil(box.height / step)))
    to_frame = np.array(
        [[step, 0, box.x0 + (step - 1) / 2], [0, step, box.y0 + (step - 1) / 2], [0, 0, 1.0]]
    )
    there = (np.linalg.inv(shape.pose) @ to_frame)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    distance = cv2.warpAffine(shape.distance, there, size, flags=flags, borderValue=-FAR)
    age = cv2.warpAffine(shape.age, there, size, flags=flags, borderValue=NEVER)
    return np.asarray(distance, np.float32) * np.float32(shape.scale), np.asarray(age, np.float32)


@dataclass(frozen=True)
class PackedShape:
    """A shape in a few kilobytes, to be kept for every frame of a clip."""

    bits: bytes
    cells: int
    pose: Transform
    doubt: float

    @classmethod
    def of(cls, shape: Shape) -> PackedShape:
        distance = np.rint(shape.distance * 8).astype(np.int8)
        both = distance.tobytes() + shape.age.astype(np.uint8).tobytes()
        return cls(zlib.compress(both, 1), len(distance), shape.pose, shape.doubt)

    def unpacked(self) -> Shape:
        both = zlib.decompress(self.bits)
        area, grid = self.cells**2, (self.cells, self.cells)
        steps = np.frombuffer(both, np.int8, area).reshape(grid)
        distance = steps.astype(np.float32) / np.float32(8)
        age = np.frombuffer(both, np.uint8, area, area).reshape(grid).astype(np.float32)
        return Shape(distance, age, self.pose, self.doubt)
