"""The object or an occluder of a clip that is being composed, as the person has it so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.compose.course import Course, Timing
from napari_amodal.compose.layers import Footage, Occluder
from napari_amodal.compose.sources import open_plate
from napari_amodal.compose.tables import (
    Table,
    brings_masks,
    read_masks,
    read_occluder,
    read_timing,
)
from napari_amodal.errors import InputError
from napari_amodal.formats.opening import open_clip
from napari_amodal.masks import EMPTY, Mask, PackedMask
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.mask_volume import mask_volume

#: Numbers that may change in time, and what they are unless told.
COURSES = {
    "position": Course.constant(0.0, 0.0),
    "scale": Course.constant(1.0),
    "depth": Course.constant(1.0),
}

#: Keys of a table that say where things are; the rest says how they are laid.
_PLACES = ("source", "masks", "label", "track", "track_frame", "engine", "plate")


class VolumeMasks(Mapping[int, Mask]):
    """Masks in a volume, uint8 ``(T, H, W)``, that may be painted in meanwhile."""

    def __init__(self, volume: NDArray[np.uint8]) -> None:
        self._volume = volume

    def __getitem__(self, frame: int) -> Mask:
        return np.asarray(self._volume[frame] != 0)

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and 0 <= frame < len(self)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self._volume)


@dataclass(eq=False)
class Part:
    """The object or an occluder.

    Attributes
    ----------
    source : pathlib.Path
    clip : Clip
        All frames of the source.
    volume : ndarray
        Its masks, uint8 ``(T, H, W)``, a frame for each of the source; not 0 where it is.
    table : dict
        What the description says of it, but for where things are.
    plate : pathlib.Path or None
    masks_file : pathlib.Path or None
        Where the masks lie, where that is not in the source itself.
    tracked : dict of int to PackedMask
        What the tracker found, by frame; a frame that differs was painted.
    is_unsaved : bool
        The masks are others than those on the disk.
    filled : set of int
        The frames of the source whose mask is not empty.
    """

    source: Path
    clip: Clip
    volume: NDArray[np.uint8]
    table: dict[str, Any] = field(default_factory=dict)
    plate: Path | None = None
    masks_file: Path | None = None
    label: int | None = None
    tracked: dict[int, PackedMask] = field(default_factory=dict)
    is_unsaved: bool = False
    filled: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def masks(self) -> VolumeMasks:
        return VolumeMasks(self.volume)

    @property
    def timing(self) -> Timing:
        """`InputError` for a wrong value."""
        return read_timing(self._as_table())

    def taken(self) -> tuple[int, ...]:
        """The source's frames that are taken; `InputError` where there are none."""
        try:
            return self.timing.taken(len(self.clip), self.clip.fps)
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from error

    def look_at(self, frames: Iterable[int]) -> None:
        """Note which of some frames of the source have a mask now."""
        for frame in frames:
            if 0 <= frame < len(self.volume) and self.volume[frame].any():
                self.filled.add(frame)
            else:
                self.filled.discard(frame)

    def course(self, key: str) -> Course:
        return self._as_table().course(key, COURSES[key])

    def is_keyed(self, key: str) -> bool:
        """Whether numbers have keyframes; otherwise they are the same all along."""
        value = self.table.get(key)
        return isinstance(value, list) and bool(value) and isinstance(value[0], list)

    def key_frames(self) -> tuple[int, ...]:
        """The frames that are keyframes of any numbers, ascending."""
        keyed = (self.course(key).frames for key in COURSES if self.is_keyed(key))
        return tuple(sorted({round(frame) for frames in keyed for frame in frames}))

    def set_numbers(self, key: str, frame: int, *values: float) -> None:
        """Set numbers: at a frame where they have keyframes, else all along."""
        if self.is_keyed(key):
            self._set_keys(key, self.course(key).with_key(frame, *values))
        else:
            (default,) = COURSES[key].values
            rounded = [round(value, 4) for value in values]
            told = rounded if len(rounded) > 1 else rounded[0]
            self.set(key, told, list(default) if len(default) > 1 else default[0])

    def add_keys(self, frame: int) -> None:
        """Make a frame a keyframe of all numbers, as they are there."""
        for key in COURSES:
            course = self.course(key)
            values = tuple(float(value) for value in course.at(frame))
            keyed = course.with_key(frame, *values) if self.is_keyed(key) else None
            self._set_keys(key, keyed or Course((float(frame),), (values,)))

    def remove_keys(self, frame: int) -> None:
        """Take away the keyframes at a frame; with the last one the numbers hold all along."""
        for key in filter(self.is_keyed, COURSES):
            course = self.course(key)
            if len(course.frames) == 1 and course.frames[0] == frame:
                del self.table[key]
                self.set_numbers(key, frame, *course.values[0])
            else:
                self._set_keys(key, course.without_key(frame))

    def _set_keys(self, key: str, course: Course) -> None:
        pairs = zip(course.frames, course.values, strict=True)
        self.table[key] = [[round(at), *(round(v, 4) for v in values)] for at, values in pairs]

    def set(self, key: str, value: Any, default: Any) -> None:
        """Set a key of the table; what is as it would be anyway is left out."""
        if value == default:
            self.table.pop(key, None)
        else:
            self.table[key] = value

    def footage(self) -> Footage:
        """What is composed of it; the plate is opened.

        Raises
        ------
        InputError
            No frame is taken, the plate does not fit, or a taken frame has no mask at all.
        """
        plate = None if self.plate is None else open_plate(self.plate)
        footage = Footage(self.clip, self.masks, self.timing, plate)
        if not self.filled.intersection(footage.taken):
            raise InputError(
                f"{self.name} has no masks: paint it on one frame and press Track, or open masks"
            )
        return footage

    def occluder(self) -> Occluder:
        return read_occluder(self._as_table(), self.footage())

    def loose_occluder(self) -> Occluder:
        """The occluder for a look at it, whatever masks and plate are still lacking."""
        return read_occluder(self._as_table(), Footage(self.clip, self.masks, self.timing))

    def painted(self) -> dict[int, Mask]:
        """Masks of the taken range that are a person's own, to track from."""
        taken = self.taken()
        masks = ((at, self.volume[at] != 0) for at in range(min(taken), max(taken) + 1))
        return {
            at: mask
            for at, mask in masks
            if mask.any() and self.tracked.get(at) != PackedMask.of(mask)
        }

    def take_tracked(self, masks: Mapping[int, Mask]) -> None:
        """Take what the tracker found; what was painted before or meanwhile stays."""
        for frame, mask in masks.items():
            before = self.tracked.get(frame, EMPTY)
            if PackedMask.of(self.volume[frame] != 0) == before:
                self.volume[frame] = mask
                self.tracked[frame] = PackedMask.of(mask)
        self.look_at(masks)
        self.is_unsaved = True

    def _as_table(self) -> Table:
        return Table(self.table, Path(), self.name)


def open_part(values: Mapping[str, Any], base: Path, job: BackgroundJob[Any]) -> Part:
    """Open a part from its table in a description, in a worker: its frames, and what masks it has.

    Raises
    ------
    InputError
        The source or the masks cannot be read.
    """
    table = Table(values, base, Path(str(values.get("source", "part"))).name)
    source, plate = table.path("source"), table.path("plate")
    if source is None:
        raise InputError("a part has no source: name its video or folder")
    clip = open_clip(source)
    volume = mask_volume((len(clip), clip.height, clip.width))
    if brings_masks(table, source):
        masks = read_masks(table, source, clip, read_timing(table), job.is_cancelled)
        for frame in masks:
            job.check()
            volume[frame][masks[frame]] = 1
    own = {key: value for key, value in values.items() if key not in _PLACES}
    part = Part(
        source,
        clip,
        volume,
        own,
        plate,
        table.path("masks"),
        table.whole("label"),
        is_unsaved="track" in values,
    )
    part.look_at(range(len(clip)))
    return part


def as_values(part: Part, base: Path) -> dict[str, Any]:
    """The table of a part as a description in the folder `base` has it."""

    def told(path: Path) -> str:
        path = path.absolute()
        return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)

    places: dict[str, Any] = {"source": told(part.source)}
    if part.masks_file is not None:
        places["masks"] = told(part.masks_file)
        if part.label is not None:
            places["label"] = part.label
    if part.plate is not None:
        places["plate"] = told(part.plate)
    return {**places, **part.table}
