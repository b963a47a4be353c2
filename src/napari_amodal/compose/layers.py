"""Laying occluders over the object's clip, frame by frame, with the masks that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from napari_amodal.boxes import box_of
from napari_amodal.clip import Clip, Frame, lazy_frames
from napari_amodal.compose.course import Course, Timing
from napari_amodal.compose.cutout import Cutout, Floats, Place, cut_out, placed, soft_alpha
from napari_amodal.draft.leaving import frames_leaving
from napari_amodal.errors import InputError
from napari_amodal.levels import FrameOcclusion, occlusion_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch


@dataclass(frozen=True)
class Footage:
    """Frames with the mask of one thing in them.

    Attributes
    ----------
    clip : Clip
    masks : mapping of int to ndarray
        Mask of each frame that is taken, bool ``(H, W)``.
    timing : Timing
    plate : Clip or None
        The background without the thing: a frame for each, or one for all.
    """

    clip: Clip
    masks: Mapping[int, Mask]
    timing: Timing
    plate: Clip | None = None
    taken: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        try:
            taken = self.timing.taken(len(self.clip), self.clip.fps)
        except ValueError as error:
            raise InputError(f"{self.clip.name}: {error}") from error
        object.__setattr__(self, "taken", taken)
        self._check_plate()
        for frame in taken:
            if frame not in self.masks:
                raise InputError(
                    f"{self.clip.name} has no mask of frame {frame}, which is taken: give its "
                    "masks, or take fewer frames"
                )

    def _check_plate(self) -> None:
        plate, clip = self.plate, self.clip
        if plate is None:
            return
        if (plate.height, plate.width) != (clip.height, clip.width):
            raise InputError(
                f"the plate of {clip.name} is {plate.width}x{plate.height}, its frames are "
                f"{clip.width}x{clip.height}: they must be of one camera, at one place"
            )
        if len(plate) not in (1, len(clip)):
            raise InputError(
                f"the plate of {clip.name} has {len(plate)} frames: give one, or {len(clip)}"
            )

    @property
    def length(self) -> int:
        """Frames of the clip that is composed on it, the pause included."""
        return len(self.taken) + (self.timing.pause or 0)

    def background(self, frame: int) -> Frame | None:
        if self.plate is None:
            return None
        return self.plate.frame(frame if len(self.plate) > 1 else 0)


@dataclass(frozen=True)
class Occluder:
    """Something that is laid over the object.

    Attributes
    ----------
    footage : Footage
    scale : Course
        One number a frame.
    position : Course
        ``(y, x)`` of the middle of its frame, from the middle of the object's frame, in pixels.
    depth : Course
        How near it is: above 0 in front of the object, below 0 behind it; the nearest is on top.
    softness : float
        Pixels of its own frame over which its edge fades.
    meet : int or None
        A frame of the composed clip at which the middle of its mask lies on that of the object's;
        `position` then counts from there.
    """

    footage: Footage
    scale: Course = Course.constant(1.0)  # noqa: RUF009 (frozen)
    position: Course = Course.constant(0.0, 0.0)  # noqa: RUF009
    depth: Course = Course.constant(1.0)  # noqa: RUF009
    softness: float = 2.0
    meet: int | None = None


@dataclass(frozen=True)
class Composition:
    """A composed clip and all that is true of it.

    Attributes
    ----------
    clip : Clip
        Frames are composed when they are read.
    visible, amodal : MaskStack
        ``(T, H, W)``. The amodal mask is the object's own, untouched; a pixel of it is visible
        where the object makes up more than half of the picture's colour.
    occlusion : tuple of FrameOcclusion
    """

    clip: Clip
    visible: MaskStack
    amodal: MaskStack
    occlusion: tuple[FrameOcclusion, ...]


def compose(
    name: str, target: Footage, occluders: Sequence[Occluder], watch: Watch | None = None
) -> Composition:
    """Lay occluders over an object with nothing before it.

    Raises
    ------
    InputError
        An occluder is to meet the object in a frame in which one of the two is not there.
    Cancelled
        The watch says so.
    """
    watch = watch or Watch()
    scene = _Scene(target, tuple(placed_at_meeting(target, one) for one in occluders))
    height, width = target.clip.height, target.clip.width
    count = scene.shape[0]

    def watched(mask: Callable[[int], Mask], done: int) -> Iterator[Mask]:
        for frame in range(count):
            watch.step(done + frame, 2 * count)
            yield mask(frame)

    amodal = MaskStack(watched(scene.amodal, 0), height, width)
    visible = MaskStack(watched(scene.visible, count), height, width)
    occlusion = occlusion_of(visible, amodal, frames_leaving(amodal))
    clip = Clip(name, lazy_frames(scene), fps=target.timing.fps or target.clip.fps)
    return Composition(clip, visible, amodal, occlusion)


@dataclass(frozen=True)
class _Scene:
    """The frames of a composition (a `napari_amodal.clip.FrameSource`)."""

    target: Footage
    occluders: tuple[Occluder, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        clip = self.target.clip
        return self.target.length, clip.height, clip.width, 3

    def amodal(self, frame: int) -> Mask:
        """The object's mask, as it was given."""
        return self.target.masks[self._source(frame)]

    def visible(self, frame: int) -> Mask:
        """Where the object's share of the picture's colour is more than half."""
        share = np.ones(self.shape[1:3], np.float32)
        for near, cutout in self._layers(frame):
            if near:
                share *= 1 - cutout.alpha
        return np.asarray(self.amodal(frame) & (share > 0.5))

    def read(self, frame: int) -> Frame:
        """The picture; a pixel over which nothing lies is the object's clip's own, bit for bit."""
        base = self.target.clip.frame(self._source(frame))
        picture = base.astype(np.float32)
        for near, cutout in self._layers(frame):
            alpha, color = cutout.alpha[..., np.newaxis], cutout.color
            if not near:
                beside = self._beside(frame)[..., np.newaxis]
                alpha, color = alpha * beside, color * beside
            picture = (1 - alpha) * picture + color
        return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)

    def _source(self, frame: int) -> int:
        return self.target.taken[min(frame, len(self.target.taken) - 1)]

    def _beside(self, frame: int) -> Floats:
        """What is not the object: 0 on all of its mask, rising to 1 over two pixels around it."""
        mask = self.amodal(frame)
        return np.where(mask, np.float32(0), 1 - soft_alpha(mask, 1.5))

    def _layers(self, frame: int) -> list[tuple[bool, Cutout]]:
        """The occluders of a frame, farthest first, and whether each is before the object."""
        found = []
        for occluder in self.occluders:
            depth = float(occluder.depth.at(frame)[0])
            cutout = _cutout_at(occluder, frame, (self.shape[1], self.shape[2]))
            if cutout is not None:
                found.append((depth, cutout))
        found.sort(key=lambda pair: pair[0])  # stable: of equals the later one is on top
        return [(depth > 0, cutout) for depth, cutout in found]


def _cutout_at(occluder: Occluder, frame: int, size: tuple[int, int]) -> Cutout | None:
    """An occluder as it lies in a frame of the composed clip; None where it is not there."""
    footage = occluder.footage
    at = footage.timing.shown(len(footage.taken), frame)
    if at is None:
        return None
    source = footage.taken[at]
    mask = footage.masks[source]
    box = box_of(mask)
    if box is None:
        return None
    # The edge fades to nothing within twice the softness.
    part = box.padded(ceil(2 * occluder.softness) + 2).clipped(*mask.shape)
    assert part is not None
    plate = footage.background(source)
    cutout = cut_out(
        footage.clip.frame(source)[part.slices],
        soft_alpha(mask, occluder.softness)[part.slices],
        None if plate is None else plate[part.slices],
    )
    y, x = (float(value) for value in occluder.position.at(frame))
    place = Place(part, (mask.shape[0], mask.shape[1]), float(occluder.scale.at(frame)[0]), (y, x))
    return placed(cutout, place, size)


def placed_at_meeting(target: Footage, occluder: Occluder) -> Occluder:
    """An occluder whose position counts from the meeting, turned into one from the middle."""
    frame, footage = occluder.meet, occluder.footage
    if frame is None:
        return occluder
    at = footage.timing.shown(len(footage.taken), frame)
    where = f"{footage.clip.name} is to meet {target.clip.name} at frame {frame}"
    if not 0 <= frame < target.length or at is None:
        raise InputError(f"{where}, where one of them is not there")
    its = box_of(footage.masks[footage.taken[at]])
    other = box_of(target.masks[target.taken[min(frame, len(target.taken) - 1)]])
    if its is None or other is None:
        raise InputError(f"{where}, where one of them has an empty mask")
    scale = float(occluder.scale.at(frame)[0])
    move = [
        (goal - (whole - 1) / 2) - scale * (middle - (own - 1) / 2)
        for goal, whole, middle, own in (
            (other.center[0] - 0.5, target.clip.height, its.center[0] - 0.5, footage.clip.height),
            (other.center[1] - 0.5, target.clip.width, its.center[1] - 0.5, footage.clip.width),
        )
    ]
    shifted = tuple(
        tuple(float(value + by) for value, by in zip(values, move, strict=True))
        for values in occluder.position.values
    )
    return replace(occluder, position=Course(occluder.position.frames, shifted), meet=None)
