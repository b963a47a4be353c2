"""Which pixels near an object may hide it, and which plainly show the background behind it.

The evidence is one that needs no depth. Take a point of a surface that moves with the camera's
background. If the same colour is seen there at two times and the object is seen there at a time
between them, then the object passed in front of that surface: it lies behind the object. Wherever
it is seen, the object is not. A thing that stands in front of the object is never covered by it,
and a thing that moves does not keep its colour at one point of the background.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.draft.motion import Transform
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch

#: Colours are compared in frames of at most this side, in pixels.
_LONGEST_SIDE = 320
#: Frames compared with each frame, counted from it. They thin out with distance, because the
#: camera's motion is less sure there.
_OFFSETS = (1, 2, 3, 5, 7, 10, 13, 17, 21, 26, 32)
#: A colour that stays for this many frames at a place of the background is that of a thing at rest.
_STAYS = 8
#: Side of the window that colours are averaged over before comparing, in working pixels.
_WINDOW = 3
#: Smaller patches of background that matches are chance.
_SPECK = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


@dataclass(frozen=True)
class _Working:
    """Frames and masks at working size, read when asked for; the last few are kept."""

    clip: Clip
    visible: MaskStack
    scale: float
    kept: OrderedDict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]

    @classmethod
    def of(cls, clip: Clip, visible: MaskStack) -> _Working:
        scale = min(1.0, _LONGEST_SIDE / max(clip.height, clip.width))
        return cls(clip, visible, scale, OrderedDict())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return (
            max(1, round(self.clip.width * self.scale)),
            max(1, round(self.clip.height * self.scale)),
        )

    def read(self, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Colours ``(h, w, 3)`` and the share of each pixel that the object covers, 0..255."""
        if frame not in self.kept:
            full = self.visible[frame].view(np.uint8) * np.uint8(255)
            mask = cv2.resize(full, self.size, interpolation=cv2.INTER_AREA)
            pixels = cv2.resize(self.clip.frame(frame), self.size, interpolation=cv2.INTER_AREA)
            pixels = cv2.blur(pixels, (_WINDOW, _WINDOW))
            self.kept[frame] = np.asarray(pixels, np.uint8), np.asarray(mask, np.uint8)
            while len(self.kept) > 2 * _OFFSETS[-1] + 2:
                self.kept.popitem(last=False)
        return self.kept[frame]


@dataclass(frozen=True)
class Surroundings:
    """What lies around an object's visible part, each ``(T, H, W)``; the rest is plain background.

    Attributes
    ----------
    moving : MaskStack
        Things that do not stay in place on the background: they may hide the object.
    still : MaskStack
        Things that stay in place, and that the object was never seen in front of: most are
        background, some may be what it passes behind.
    """

    moving: MaskStack
    still: MaskStack


def find_surroundings(
    clip: Clip,
    visible: MaskStack,
    camera: Sequence[Transform],
    regions: Sequence[Box | None],
    tolerance: float,
    watch: Watch,
    steps: tuple[int, int],
) -> Surroundings:
    """Tell plainly visible background around one object from what may hide it.

    Parameters
    ----------
    clip : Clip
    visible : MaskStack
        The object's visible masks ``(T, H, W)``.
    camera : sequence of ndarray
        `ClipMotion.camera`.
    regions : sequence of Box or None
        For each frame the surroundings that matter, in pixels; None: none do.
    tolerance : float
        How far colours of one surface may differ between frames, of 255.
    watch : Watch
    steps : tuple of int
        Steps of the stage that are done before, and all of them; each frame here is one more.
    """
    working = _Working.of(clip, visible)
    size = clip.height, clip.width
    moving, still = [], []
    for frame, region in enumerate(regions):
        inside = region.clipped(*size) if region else None
        parts = np.zeros((2, *size), np.bool_)
        if inside is not None:
            around = ~visible[frame][inside.slices]
            for part, found in zip(
                parts, _moving_and_still(working, camera, frame, inside, tolerance), strict=True
            ):
                part[inside.slices] = found & around
        moving.append(MaskStack((parts[0],), *size))
        still.append(MaskStack((parts[1],), *size))
        watch.step(steps[0] + frame + 1, steps[1])
    return Surroundings(_stacked(moving, *size), _stacked(still, *size))


def _stacked(single: Sequence[MaskStack], height: int, width: int) -> MaskStack:
    return MaskStack((stack[0] for stack in single), height, width)


def _moving_and_still(
    working: _Working, camera: Sequence[Transform], frame: int, region: Box, tolerance: float
) -> tuple[Mask, Mask]:
    """`Surroundings` of one frame within a region, at full resolution."""
    scale = working.scale
    width, height = working.size
    y0, x0 = int(region.y0 * scale), int(region.x0 * scale)
    y1 = min(height, int(np.ceil(region.y1 * scale)))
    x1 = min(width, int(np.ceil(region.x1 * scale)))
    crop = Box(y0, x0, max(y1, y0 + 1), max(x1, x0 + 1))
    votes = _Votes.none((crop.height, crop.width))
    for direction in (-1, 1):
        _vote_on_one_side(working, camera, frame, crop, direction, tolerance, votes)
    # back to full resolution, sampled where each full pixel lies
    rows = ((np.arange(region.y0, region.y1) + 0.5) * scale).astype(int) - y0
    columns = ((np.arange(region.x0, region.x1) + 0.5) * scale).astype(int) - x0
    full = np.ix_(rows.clip(0, crop.height - 1), columns.clip(0, crop.width - 1))
    plain = cv2.morphologyEx(votes.plain().view(np.uint8), cv2.MORPH_OPEN, _SPECK)[full] > 0
    moving = cv2.medianBlur(votes.moving().view(np.uint8), 5)[full] > 0
    return moving & ~plain, ~(moving | plain)


@dataclass(frozen=True)
class _Votes:
    """What other frames say of each pixel of a crop, uint8 ``(h, w)``, filled in place.

    Attributes
    ----------
    views, matches : ndarray
        In how many frames the object is not in the way there, and in how many of them the colour
        is the same.
    beyond : ndarray
        How many of these matches lie beyond a time at which the object covers the place.
    stays : ndarray
        For how many frames on end, before and after together, the colour stays the same.
    """

    views: NDArray[np.uint8]
    matches: NDArray[np.uint8]
    beyond: NDArray[np.uint8]
    stays: NDArray[np.uint8]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> _Votes:
        return cls(*(np.zeros(shape, np.uint8) for _ in range(4)))

    def plain(self) -> Mask:
        """Seen again beyond the object, and the same in most other views: chance matches of a
        textured occluder with itself are few."""
        return (self.beyond > 0) & (2 * self.matches >= self.views)

    def moving(self) -> Mask:
        """Seen neither for some frames on end nor in many views. Three in ten are many: a thing
        that passes may hide a place at rest in most of them."""
        few = self.matches < np.maximum(2, 0.3 * self.views)
        return np.asarray((self.views >= 3) & (self.stays < _STAYS) & few, np.bool_)


def _vote_on_one_side(
    working: _Working,
    camera: Sequence[Transform],
    frame: int,
    crop: Box,
    direction: int,
    tolerance: float,
    votes: _Votes,
) -> None:
    """Compare a crop with the frames before it (direction -1) or after it (1)."""
    scale = working.scale
    here = working.read(frame)[0][crop.slices]
    covered = np.zeros(here.shape[:2], np.bool_)
    misses = np.zeros(here.shape[:2], np.uint8)
    stays = np.zeros(here.shape[:2], np.uint8)
    from_crop = np.array(
        [[1 / scale, 0, crop.x0 / scale], [0, 1 / scale, crop.y0 / scale], [0, 0, 1]]
    )
    to_working = np.diag([scale, scale, 1.0])
    path, reached = np.eye(3), frame
    for offset in _OFFSETS:
        other = frame + direction * offset
        if not 0 <= other < len(working.clip):
            break
        while reached != other:
            step = camera[reached] if direction > 0 else np.linalg.inv(camera[reached - 1])
            path, reached = step @ path, reached + direction
        there = _warped(working.read(other), to_working @ path @ from_crop, crop)
        seen = there.seen
        matches = seen & (_apart(there.colours, here) <= tolerance)
        votes.views[seen] += 1
        votes.matches[matches] += 1
        votes.beyond[matches & covered] += 1
        covered |= there.covered
        misses += seen & ~matches
        stays[matches & (misses < 2)] = offset
    votes.stays[:] += stays


@dataclass(frozen=True)
class _There:
    """Another frame, seen at a crop's pixels.

    Attributes
    ----------
    colours : ndarray
        uint8 ``(h, w, 3)``.
    covered, seen : ndarray
        Where the object covers the place there, and where the frame shows something else.
    """

    colours: NDArray[np.uint8]
    covered: Mask
    seen: Mask


#: A share covered (0..255) that marks places outside the other frame: neither covered nor seen.
_OUTSIDE = 128


def _warped(
    view: tuple[NDArray[np.uint8], NDArray[np.uint8]], transform: Transform, crop: Box
) -> _There:
    shape = crop.width, crop.height
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    colours = cv2.warpPerspective(view[0], transform, shape, flags=flags)
    cover = cv2.warpPerspective(view[1], transform, shape, flags=flags, borderValue=_OUTSIDE)
    beside = cv2.dilate(cover, np.ones((3, 3), np.uint8)) > 16
    return _There(np.asarray(colours, np.uint8), np.asarray(cover > 200, np.bool_), ~beside)


def _apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest difference of any colour channel, uint8 ``(h, w)``."""
    red, green, blue = cv2.split(cv2.absdiff(first, second))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)
