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
#: A part that is missing where something may hide it counts as hidden from this radius on, as a
#: share of the object's size; thinner ones are errors of outline and pose.
THIN = 0.015
#: The same behind things that stay in place, which are mostly background beside a limb that moved.
THIN_BEHIND_STILL = 0.05
#: Least frames, and least travel over the background as a share of the grid's side, between two
#: outlines that are compared: beside things at rest, and beside things that move.
_RECENT = (1, 0.04)
_DISTANT = (6, 0.06)
#: Distances are kept up to this many cells, in steps of an eighth.
_FAR = 15.0


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
        What was seen at two earlier times each, the older first: `_RECENT`, `_DISTANT`.
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
        """The same shape after a frame that shows nothing of it: earlier outlines tell no more."""
        return replace(self, doubt=self.doubt + 1.0, recent=(), distant=())


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
    image = mask.view(np.uint8) * np.uint8(255)
    shrink = max(1.0, scale_of(pose))
    size = (max(1, round(box.width / shrink)), max(1, round(box.height / shrink)))
    if shrink > 1.0:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
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
    return (px < 0) | (py < 0) | (px > width - 1) | (py > height - 1)


def signed_distance(inside: Mask) -> Grid:
    """Distance to the outline in cells, positive inside, zero half-way between cells."""
    if not inside.any():
        return np.full(inside.shape, -_FAR, np.float32)
    within = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform((~inside).view(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(np.where(inside, within - 0.5, 0.5 - beyond).clip(-_FAR, _FAR), np.float32)


def first_shape(view: View, cells: int) -> Shape:
    """A shape from the first frame that shows anything of the object."""
    assert view.visible is not None
    pose = laid_out(view.visible[0], cells)
    seen = sampled(view.visible, pose, cells) > 0.5
    unknown = sampled(view.hiders, pose, cells) > 0.5
    unknown |= outside_frame(pose, cells, view.height, view.width)
    age = np.where(unknown & ~seen, NEVER, 0.0).astype(np.float32)
    return Shape(signed_distance(seen), age, pose, 0.0)


def updated(shape: Shape, view: View) -> Shape:
    """Take over what a frame shows, keep the rest and let it age by a frame."""
    cells = len(shape.distance)
    shape = _laid_out_again(shape, view)
    seen = sampled(view.visible, shape.pose, cells) > 0.5
    beyond = outside_frame(shape.pose, cells, view.height, view.width)
    hiding = sampled(view.hiders, shape.pose, cells) > 0.5
    still = sampled(view.still, shape.pose, cells) > 0.5
    missing = (shape.distance > 0) & ~seen
    size = float(np.sqrt(np.count_nonzero(shape.distance > 0)))
    outline = signed_distance(seen)
    hidden = hidden_part(missing & hiding, missing & still, size)
    hidden &= ~_beside_own_outline(hidden, hiding, outline, shape)
    hidden |= missing & beyond
    unknown = hidden | ((hiding | beyond) & ~missing & ~seen)
    share = np.float32(view.confidence) * ~unknown
    # a cell of which nothing was ever known takes whatever is seen of it
    share[(shape.age >= NEVER) & ~unknown] = 1.0
    distance = shape.distance + share * (signed_distance(seen | hidden) - shape.distance)
    age = np.where(unknown, np.minimum(shape.age + 1, NEVER), 0.0).astype(np.float32)
    return replace(
        shape,
        distance=distance.astype(np.float32),
        age=age,
        recent=_sightings(shape.recent, outline, _RECENT),
        distant=_sightings(shape.distant, outline, _DISTANT),
    )


def _sightings(
    earlier: tuple[Sighting, ...], outline: Grid, least: tuple[int, float]
) -> tuple[Sighting, ...]:
    if not earlier or earlier[-1].is_before(*least):
        return (*earlier[-1:], Sighting(outline, np.zeros(2), 0))
    return earlier


def _beside_own_outline(hidden: Mask, hiding: Mask, outline: Grid, shape: Shape) -> Mask:
    """Patches of `hidden` that border the object's own outline.

    An outline that stays in place on the object while the object moves over the background is the
    object's own: the edge of a thing at rest would have moved across it. That of a moving thing may
    go along with the object for a while, so this is asked over a longer time for patches mostly
    behind moving things (`hiding`).
    """
    refuted = np.zeros_like(hidden)
    if not hidden.any():
        return refuted
    count, labels = cv2.connectedComponents(hidden.view(np.uint8))
    area = np.bincount(labels.ravel(), minlength=count)
    at_rest = 2 * np.bincount(labels[hiding], minlength=count) < area
    around = cv2.dilate(labels.astype(np.uint16), np.ones((5, 5), np.uint8))
    edge = (outline > 0) & (outline < 1.0)
    bordering = np.bincount(around[edge], minlength=count)
    for earlier, least, asked in (
        (shape.recent, _RECENT, at_rest),
        (shape.distant, _DISTANT, ~at_rest),
    ):
        if not earlier or not earlier[0].is_before(*least):
            continue
        own = edge & (np.abs(earlier[0].distance) < 2.0)
        bordering_own = np.bincount(around[own], minlength=count)
        # a short border says little of a large patch
        refute = asked & (bordering_own > 0.6 * bordering) & (bordering_own**2 > area)
        refute[0] = False
        refuted |= refute[labels]
    return refuted


def hidden_part(behind_hiders: Mask, behind_still: Mask, size: float) -> Mask:
    """Where a missing part is large enough to be hidden rather than moved or badly outlined.

    Parameters
    ----------
    behind_hiders, behind_still : ndarray
        Missing parts of the shape, bool ``(h, w)``, where something may hide them and where only
        a thing that stays in place could.
    size : float
        Square root of the shape's area, in the masks' own pixels.
    """
    either = behind_hiders | behind_still
    return _thick(behind_hiders, THIN * size) | _thick(either, THIN_BEHIND_STILL * size)


def _thick(mask: Mask, radius: float) -> Mask:
    """The parts of a mask into which a disc of this radius fits, with their corners."""
    if not mask.any():
        return mask
    deep = (
        cv2.distanceTransform(
            cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5
        )[1:-1, 1:-1]
        > radius
    )
    if not deep.any():
        return np.zeros_like(mask)
    reach = cv2.distanceTransform((~deep).view(np.uint8), cv2.DIST_L2, 5) <= 2 * radius + 1
    return np.asarray(mask & reach, np.bool_)


def _laid_out_again(shape: Shape, view: View) -> Shape:
    """The shape on a new grid where the old one has become too small or too coarse for it."""
    whole = shape.box()
    if view.visible is not None:
        whole = view.visible[0] if whole is None else whole.union(view.visible[0])
    if whole is None:
        return shape
    cells = len(shape.distance)
    pose = laid_out(whole, cells)
    growth = scale_of(pose) / shape.scale
    shift = np.linalg.inv(shape.pose) @ pose @ np.array([(cells - 1) / 2, (cells - 1) / 2, 1.0])
    if 0.75 < growth < 1.4 and np.abs(shift[:2] - (cells - 1) / 2).max() < 0.12 * cells:
        return shape
    there = np.linalg.inv(shape.pose) @ pose

    def moved(earlier: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        return tuple(
            replace(old, distance=_warped(old.distance, there) / growth, travel=old.travel / growth)
            for old in earlier
        )

    return replace(
        shape,
        distance=(_warped(shape.distance, there) / growth).clip(-_FAR, _FAR),
        age=_warped(shape.age, there, NEVER),
        pose=pose,
        recent=moved(shape.recent),
        distant=moved(shape.distant),
    )


def _warped(values: Grid, there: Transform, beyond: float = -_FAR) -> Grid:
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
    distance = cv2.warpAffine(shape.distance, there, size, flags=flags, borderValue=-_FAR)
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
        distance = np.frombuffer(both, np.int8, area).reshape(grid).astype(np.float32) / 8
        age = np.frombuffer(both, np.uint8, area, area).reshape(grid).astype(np.float32)
        return Shape(distance, age, self.pose, self.doubt)
