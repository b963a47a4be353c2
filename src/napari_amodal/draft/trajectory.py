"""Carrying an object's shape through the clip, forwards and backwards, and joining the two.

Each direction remembers what it has seen of the object (`shapes`), follows the visible part and
moves on evenly where nothing is visible. A hidden part is then drawn between what was last seen of
it and what is next seen, the nearer in time counting for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.draft.fitting import fitted
from napari_amodal.draft.motion import Transform
from napari_amodal.draft.placing import is_behind, placed
from napari_amodal.draft.shape_memory import first_shape, updated
from napari_amodal.draft.shapes import (
    NEVER,
    Grid,
    PackedShape,
    Shape,
    View,
    drawn,
    scale_of,
)
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch

#: A visible share of the shape from here on settles its pose.
_SETTLING_SHARE = 0.3
#: How fast the mean velocity forgets, per frame; and the largest growth a frame that is carried on.
_FORGET = 0.4
_MOST_GROWTH = 0.03
#: What is left of the velocity, a frame, of an object that went behind something for good.
_SLOWING = 0.8
#: Shapes are drawn on at most this many samples a side, whatever the resolution.
_MOST_SAMPLES = 512


@dataclass(frozen=True)
class Scene:
    """Everything about one object that its shape is carried by.

    Attributes
    ----------
    visible, hiders, still : MaskStack
        ``(T, H, W)``; see `View`.
    confidence : ndarray
        float32 ``(T,)``, of the visible masks.
    whole : mapping of int to ndarray
        Frames where the amodal mask is known, bool ``(H, W)``.
    camera : sequence of ndarray
        `ClipMotion.camera`.
    motion : sequence of (ndarray or None)
        The object's own entry in `ClipMotion.objects`.
    """

    visible: MaskStack
    hiders: MaskStack
    still: MaskStack
    confidence: NDArray[np.float32]
    whole: Mapping[int, Mask]
    camera: Sequence[Transform]
    motion: Sequence[Transform | None]

    def view(self, frame: int) -> View:
        """What a frame shows; where the whole object is known, that."""
        _, height, width = self.visible.shape
        if frame in self.whole:
            known = MaskStack((self.whole[frame],), height, width)
            return View(_part(known, 0), None, None, height, width, 1.0)
        return View(
            _part(self.visible, frame),
            _part(self.hiders, frame),
            _part(self.still, frame),
            height,
            width,
            float(np.clip(self.confidence[frame], 0.05, 1.0)),
        )

    def last_seen(self, *, backwards: bool) -> int:
        """The last frame, in one direction in time, that shows anything of the object."""
        boxes = self.visible.boxes
        seen = [frame for frame in range(len(boxes)) if boxes[frame] or frame in self.whole]
        return (min if backwards else max)(seen, default=0)


def _part(stack: MaskStack, frame: int) -> tuple[Box, Mask] | None:
    box, crop = stack.boxes[frame], stack.crop(frame)
    return None if box is None or crop is None else (box, crop)


@dataclass(frozen=True)
class _Velocity:
    """Motion beyond the camera's: shift in pixels and growth (log) a frame."""

    shift: NDArray[np.float64]
    growth: float

    def toward(self, shift: NDArray[np.float64], growth: float) -> _Velocity:
        growth = float(np.clip(growth, -_MOST_GROWTH, _MOST_GROWTH))
        return _Velocity(
            self.shift + _FORGET * (shift - self.shift),
            self.growth + _FORGET * (growth - self.growth),
        )

    def slowed(self) -> _Velocity:
        return _Velocity(_SLOWING * self.shift, _SLOWING * self.growth)


def carried(scene: Scene, cells: int, *, backwards: bool) -> Iterator[tuple[int, Shape | None]]:
    """The shape at each frame, in one direction in time; None before anything is seen."""
    count = len(scene.visible)
    shape: Shape | None = None
    last = scene.last_seen(backwards=backwards)
    velocity: _Velocity | None = None
    for frame in reversed(range(count)) if backwards else range(count):
        view = scene.view(frame)
        if shape is None:
            shape = first_shape(view, cells) if view.visible is not None else None
        else:
            between = frame if backwards else frame - 1
            camera, own = scene.camera[between], scene.motion[between]
            if backwards:
                camera = np.asarray(np.linalg.inv(camera), np.float64)
                own = None if own is None else np.asarray(np.linalg.inv(own), np.float64)
            lost = frame < last if backwards else frame > last
            staying = _with_camera(shape, camera) if lost else shape
            if lost and is_behind(staying, view):
                # nothing tells how far on it goes: it slows down and stays where it can be
                velocity = velocity.slowed() if velocity else None
                moved, _ = _advanced(shape, velocity, view, camera, own)
                shape = moved if is_behind(moved, view) else staying.unseen()
            else:
                shape, velocity = _advanced(shape, velocity, view, camera, own)
        yield frame, shape


def _advanced(
    shape: Shape,
    velocity: _Velocity | None,
    view: View,
    camera: Transform,
    own: Transform | None,
) -> tuple[Shape, _Velocity | None]:
    """The shape one frame on, and the velocity there."""
    if shape.is_empty:
        return (shape if view.visible is None else first_shape(view, len(shape.distance))), None
    area, centre = shape.area_and_centre()
    drift, zoom = _camera_at(camera, centre)
    if own is not None and view.visible is not None:
        moved = shape.moved(own)
    else:
        still = velocity or _Velocity(np.zeros(2), 0.0)
        moved = shape.moved(_about(centre, drift + still.shift, zoom * np.exp(still.growth)))
        moved = replace(moved, doubt=moved.doubt + 0.5)
    share = min(1.0, _visible_area(view) / max(area, 1.0))
    if share == 0.0:
        return moved.unseen(), velocity
    moved = fitted(placed(moved, view), view)
    gain = min(1.0, share / _SETTLING_SHARE) * view.confidence
    _, now = moved.area_and_centre()
    shift, growth = now - centre - drift, np.log(moved.scale / shape.scale / zoom)
    velocity = velocity or _Velocity(shift, 0.0)
    velocity = velocity.toward(shift, growth) if gain > 0.5 else velocity
    moved = replace(moved, doubt=moved.doubt * (1 - gain))
    return updated(moved.travelled(shift), view), velocity


def _visible_area(view: View) -> float:
    return float(view.visible[1].sum()) if view.visible is not None else 0.0


def _with_camera(shape: Shape, camera: Transform) -> Shape:
    """The shape moved as the background at its centre."""
    if shape.is_empty:
        return shape
    _, centre = shape.area_and_centre()
    drift, zoom = _camera_at(camera, centre)
    return shape.moved(_about(centre, drift, zoom))


def _camera_at(camera: Transform, centre: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Shift and zoom of the background at a point."""
    there = camera @ np.append(centre, 1.0)
    zoom = scale_of(camera) / max(abs(there[2]), 1e-6) ** 1.5
    return there[:2] / there[2] - centre, float(np.clip(zoom, 0.8, 1.25))


def _about(centre: NDArray[np.float64], shift: NDArray[np.float64], scale: float) -> Transform:
    """Scale about a point, then shift."""
    x, y = centre + shift - scale * centre
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1.0]])


@dataclass(frozen=True)
class JoinedShape:
    """The shape at one frame as both directions hold it, either of which may not know it yet."""

    before: Shape | None
    after: Shape | None

    @property
    def box(self) -> Box | None:
        """The amodal box; it may reach beyond the frame."""
        shapes = [shape for shape, _ in self._weighted() if not shape.is_empty]
        boxes = [box for shape in shapes if (box := shape.box()) is not None]
        weights = [weight for shape, weight in self._weighted() if not shape.is_empty]
        if not boxes:
            return None
        sides = np.array([[box.y0, box.x0, box.y1, box.x1] for box in boxes], float)
        y0, x0, y1, x1 = np.rint(np.average(sides, axis=0, weights=weights)).astype(int).tolist()
        return Box(y0, x0, max(y1, y0 + 1), max(x1, x0 + 1))

    def within(self, box: Box) -> JoinedShape:
        """The same shape moved and scaled so that its box has a box's centre and area."""
        own = self.box
        if own is None:
            return self
        scale = float(np.sqrt(box.height * box.width / (own.height * own.width)))
        (y, x), (to_y, to_x) = own.center, box.center
        centre = np.array([x - 0.5, y - 0.5])
        there = _about(centre, np.array([to_x - x, to_y - y]), scale)
        before, after = (
            None if shape is None else shape.moved(there) for shape in (self.before, self.after)
        )
        return JoinedShape(before, after)

    @property
    def area(self) -> float:
        """Area of the whole shape in square pixels; 0 where nothing is known."""
        areas = [shape.area_and_centre()[0] for shape, _ in self._weighted()]
        return float(np.mean(areas)) if areas else 0.0

    def _weighted(self) -> list[tuple[Shape, float]]:
        """Both shapes at one pose between theirs, each with the share that it has in the pose."""
        known = [s for s in (self.before, self.after) if s is not None and not s.is_empty]
        if len(known) < 2:
            return [(shape, 1.0) for shape in known]
        doubts = np.array([shape.doubt + 0.01 for shape in known])
        weights = doubts[::-1] / doubts.sum()
        if doubts.max() < 0.5:
            return [(shape, 0.5) for shape in known]
        places = [shape.area_and_centre() for shape in known]
        centre = sum(weight * place[1] for weight, place in zip(weights, places, strict=True))
        size = np.exp(sum(w * np.log(p[0]) / 2 for w, p in zip(weights, places, strict=True)))
        return [
            (shape.moved(_about(own, centre - own, float(size / np.sqrt(area)))), float(weight))
            for shape, weight, (area, own) in zip(known, weights, places, strict=True)
        ]

    def mask(self, region: Box) -> Mask:
        """The whole shape within a box of the frame, bool of the box's size."""
        step = max(1.0, max(region.height, region.width) / _MOST_SAMPLES)
        shapes = self._weighted()
        if not shapes:
            return np.zeros((region.height, region.width), np.bool_)
        distance = _blended([drawn(shape, region, step) for shape, _ in shapes])
        if step > 1.0:
            size = (round(distance.shape[1] * step), round(distance.shape[0] * step))
            distance = np.asarray(cv2.resize(distance, size), np.float32)
        return np.asarray(distance[: region.height, : region.width] > 0, np.bool_)


def _blended(layers: list[tuple[Grid, Grid]]) -> Grid:
    """Distances of both directions, each weighted by how long ago the other saw the place."""
    if len(layers) == 1:
        return layers[0][0]
    (first, first_age), (second, second_age) = layers
    first_age = np.where(first_age > NEVER - 1, np.float32(1e6), first_age) + np.float32(0.5)
    second_age = np.where(second_age > NEVER - 1, np.float32(1e6), second_age) + np.float32(0.5)
    blend = (first * second_age + second * first_age) / (first_age + second_age)
    return np.asarray(blend, np.float32)


def joined(scene: Scene, cells: int, watch: Watch, steps: tuple[int, int]) -> Iterator[JoinedShape]:
    """The shape at each frame, first to last.

    Parameters
    ----------
    scene : Scene
    cells : int
        Cells along each side of the shape's grid.
    watch : Watch
    steps : tuple of int
        Steps of the stage that are done before, and all of them; each frame is one more, on the way
        back through the clip, which comes first.
    """
    after: list[PackedShape | None] = []
    for frame, shape in carried(scene, cells, backwards=True):
        after.append(PackedShape.of(shape) if shape is not None else None)
        watch.step(steps[0] + len(scene.visible) - frame, steps[1])
    for frame, shape in carried(scene, cells, backwards=False):
        packed = after[len(scene.visible) - 1 - frame]
        yield JoinedShape(shape, packed.unpacked() if packed is not None else None)
