"""Small made scenes in which an object is hidden in known ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.draft.occlusion import OutlineReasoner, OutlineSettings
from napari_amodal.draft.shape_completer import ShapeCompleter, ShapeSettings
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack

HEIGHT, WIDTH, COUNT = 96, 180, 24
#: A mask of the whole frame for each time.
Shape = Callable[[int], Mask]


@dataclass(frozen=True)
class HiddenScene:
    """A clip with the exact masks of one object."""

    clip: Clip
    visible: MaskStack
    amodal: MaskStack

    def track(self, confidence: float = 1.0) -> VisibleTrack:
        return VisibleTrack(self.visible, np.full(len(self.clip), confidence, np.float32))

    def query(self, frame: int) -> Query:
        return Query({frame: self.visible[frame]})


@dataclass(frozen=True)
class Found:
    """What reasoner and completer make of one object."""

    occlusion: Occlusion
    hypotheses: tuple[Hypothesis, ...]

    @property
    def amodal(self) -> MaskStack:
        return self.hypotheses[0].amodal


def complete(
    scene: HiddenScene, query: Query, track: VisibleTrack | None = None, watch: Watch | None = None
) -> Found:
    """Run both stages on one object."""
    queries, tracks = {7: query}, {7: track or scene.track()}
    watch = watch or Watch()
    occlusions = OutlineReasoner(OutlineSettings()).reason(scene.clip, queries, tracks, watch)
    hypotheses = ShapeCompleter(ShapeSettings()).complete(
        scene.clip, queries, tracks, occlusions, watch
    )
    return Found(occlusions[7], hypotheses[7])


def texture(seed: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A smooth random pattern around a colour, uint8 ``(HEIGHT, 2 * WIDTH, 3)``."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, 2 * WIDTH)).astype(np.float32)
    fine, coarse = cv2.GaussianBlur(noise, (0, 0), 1.2), cv2.GaussianBlur(noise, (0, 0), 4)
    pattern = 25 * fine / fine.std() + 20 * coarse / coarse.std()
    return np.clip(pattern[..., np.newaxis] + colour, 0, 255).astype(np.uint8)


def ellipse(x: float, y: float, rx: float, ry: float) -> Mask:
    """A filled ellipse, clipped to the frame."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 <= 1


def bar(x0: float, x1: float) -> Mask:
    """A bar over the full height of the frame."""
    columns = np.arange(WIDTH)
    return np.broadcast_to((columns >= x0) & (columns < x1), (HEIGHT, WIDTH))


def nothing(_: int) -> Mask:
    return np.zeros((HEIGHT, WIDTH), np.bool_)


def scene(
    shape: Shape,
    occluder: Shape = nothing,
    *,
    object_x: Callable[[int], float] = lambda t: 0.0,
    occluder_x: Callable[[int], float] = lambda t: 0.0,
    frames: Iterable[int] = range(COUNT),
) -> HiddenScene:
    """Lay an object over a still background, and an occluder over both.

    Their textures are carried along by `object_x` and `occluder_x`.
    """
    ground, skin, cover = (
        texture(1, (90, 140, 80)),
        texture(2, (180, 90, 70)),
        texture(3, (70, 90, 180)),
    )
    pixels, visible, amodal = [], [], []
    for t in frames:
        whole, hiding = shape(t), occluder(t)
        frame = ground[:, :WIDTH].copy()
        frame[whole] = np.roll(skin, round(object_x(t)), axis=1)[:, :WIDTH][whole]
        frame[hiding] = np.roll(cover, round(occluder_x(t)), axis=1)[:, :WIDTH][hiding]
        pixels.append(frame)
        amodal.append(whole)
        visible.append(whole & ~hiding)
    return HiddenScene(
        clip_from_array(np.stack(pixels)),
        MaskStack(visible, HEIGHT, WIDTH),
        MaskStack(amodal, HEIGHT, WIDTH),
    )


def walk(t: int) -> float:
    return 30.0 + 5.0 * t


def passing_object(t: int) -> Mask:
    """An ellipse that walks to the right and slowly grows taller."""
    return ellipse(walk(t), 50, 20, 18 + 0.3 * t)


def behind_pillar() -> HiddenScene:
    """A walking object passes behind a thing at rest that is narrower than it."""
    return scene(passing_object, lambda t: bar(85, 101), object_x=walk)


def behind_wall() -> HiddenScene:
    """A walking object is fully hidden for some frames by a thing at rest."""
    return scene(passing_object, lambda t: bar(62, 124), object_x=walk)


def slows_behind_wall() -> HiddenScene:
    """A fast object loses much of its speed behind a wide thing at rest."""

    def x(t: int) -> float:
        return 20.0 + 8.0 * min(t, 9) + 5.0 * max(0, t - 9)

    return scene(lambda t: ellipse(x(t), 50, 15, 16), lambda t: bar(50, 140), object_x=x)


def stops_behind_wall() -> HiddenScene:
    """A fast object goes behind a thing at rest and never comes back."""

    def x(t: int) -> float:
        return min(20.0 + 9.0 * t, 108.0)

    return scene(lambda t: ellipse(x(t), 50, 14, 12), lambda t: bar(80, 140), object_x=x)


def crossed() -> HiddenScene:
    """A thing crosses in front of an object, against its motion."""
    return scene(
        lambda t: ellipse(70 + 2 * t, 50, 22, 20),
        lambda t: bar(170 - 8 * t, 196 - 8 * t),
        object_x=lambda t: 70 + 2 * t,
        occluder_x=lambda t: 170 - 8 * t,
    )
