"""The tables of a description, turned into what is composed: footage, masks, timing, courses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari_amodal.clip import Clip
from napari_amodal.compose.course import Course, Timing
from napari_amodal.compose.description import Described, check_keys
from napari_amodal.compose.layers import Footage, Occluder
from napari_amodal.compose.sources import open_masks, open_plate, own_masks, tracked_masks
from napari_amodal.errors import Cancelled, InputError
from napari_amodal.formats.mask_png import read_labels
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import AMODAL, VISIBLE, is_tabe51
from napari_amodal.masks import Mask
from napari_amodal.workers import IsCancelled

#: A smaller occluder is no pixel or two of an HD frame.
_SMALLEST_SCALE = 0.01

#: Frames; a slip of the keyboard is not to fill the disk.
_LONGEST_PAUSE = 100_000

_SOURCE_KEYS = frozenset({"source", "masks", "label", "track", "track_frame", "engine", "plate"})
_TIMING_KEYS = frozenset({"fps", "first", "last", "reverse", "pause"})
_OBJECT_KEYS = (_SOURCE_KEYS - {"plate"}) | _TIMING_KEYS
_OCCLUDER_KEYS = (
    _SOURCE_KEYS | _TIMING_KEYS | {"begin", "scale", "position", "depth", "softness", "meet"}
)


@dataclass(frozen=True)
class Table:
    """A table of a description, read key by key.

    Attributes
    ----------
    values : mapping
    base : pathlib.Path
        The folder that paths are relative to.
    where : str
        What messages call the table.
    """

    values: Mapping[str, Any]
    base: Path
    where: str

    def path(self, key: str) -> Path | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InputError(f"{self.where}: {key} is {value!r}, it is a path")
        return self.base / Path(value).expanduser()

    def number(self, key: str, default: float | None = None) -> float | None:
        value = self.values.get(key, default)
        if value is not None and not _is_number(value):
            raise InputError(f"{self.where}: {key} is {value!r}, it is a number")
        return None if value is None else float(value)

    def whole(self, key: str, default: int | None = None) -> int | None:
        value = self.values.get(key, default)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(f"{self.where}: {key} is {value!r}, it is a whole number")
        return value

    def course(self, key: str, default: Course) -> Course:
        """One value, or keyframes ``[[frame, value, ...], ...]``."""
        value = self.values.get(key)
        if value is None:
            return default
        size = len(default.values[0])
        told = f"{self.where}: {key} is {value!r}; it is "
        told += "a number" if size == 1 else "[y, x]"
        told += f", or keyframes [frame, {'value' if size == 1 else 'y, x'}] with rising frames"
        if _is_number(value) and size == 1:
            return Course.constant(float(value))
        if not isinstance(value, list) or not value:
            raise InputError(told)
        if all(map(_is_number, value)) and len(value) == size:
            return Course.constant(*map(float, value))
        keys = [key if isinstance(key, list) else [] for key in value]
        if any(len(key) != size + 1 or not all(map(_is_number, key)) for key in keys):
            raise InputError(told)
        frames = tuple(float(key[0]) for key in keys)
        if any(after <= before for before, after in pairwise(frames)):
            raise InputError(told)
        return Course(frames, tuple(tuple(float(v) for v in key[1:]) for key in keys))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_scene(described: Described, is_cancelled: IsCancelled) -> tuple[Footage, list[Occluder]]:
    """Open the object and the occluders of a described clip; what is to be tracked is tracked.

    Raises
    ------
    InputError
        A key is unknown or has a wrong value, or a source or its masks cannot be used.
    Cancelled
        `is_cancelled` said so.
    """
    clip, what = f"clip {described.name!r}", described.what
    check_keys(what["object"], _OBJECT_KEYS, f"{clip}, object")
    target = _footage(Table(what["object"], described.base, "object"), is_cancelled)
    occluders = what["occluder"]
    if not isinstance(occluders, list) or not all(isinstance(one, dict) for one in occluders):
        raise InputError(f"{clip}: occluders are [[clip.occluder]] tables")
    laid = []
    for at, values in enumerate(occluders, 1):
        check_keys(values, _OCCLUDER_KEYS, f"{clip}, occluder {at}")
        table = Table(values, described.base, f"occluder {at}")
        laid.append(read_occluder(table, _footage(table, is_cancelled)))
    return target, laid


def read_occluder(table: Table, footage: Footage) -> Occluder:
    """How an occluder is laid over the object; `InputError` for a wrong value."""
    scale = table.course("scale", Course.constant(1.0))
    least = min(value for (value,) in scale.values)
    if least < _SMALLEST_SCALE:
        raise InputError(f"{table.where}: scale is {least:g}, it is {_SMALLEST_SCALE} or more")
    softness = table.number("softness", 2.0)
    if softness is None or not 0 <= softness <= 100:
        raise InputError(f"{table.where}: softness is {softness!r}, it is 0 to 100 pixels")
    return Occluder(
        footage,
        scale,
        table.course("position", Course.constant(0.0, 0.0)),
        table.course("depth", Course.constant(1.0)),
        softness,
        table.whole("meet"),
    )


def _footage(table: Table, is_cancelled: IsCancelled) -> Footage:
    source = table.path("source")
    if source is None:
        raise InputError(f"{table.where} has no source: name its video or folder")
    clip = open_clip(source)
    timing = read_timing(table)
    plate = table.path("plate")
    footage = Footage(
        clip,
        read_masks(table, source, clip, timing, is_cancelled),
        timing,
        None if plate is None else open_plate(plate),
    )
    _check_there(table, footage, is_cancelled)
    return footage


def _check_there(table: Table, footage: Footage, is_cancelled: IsCancelled) -> None:
    """Raise `InputError` where a thing has no pixel in any frame that is taken."""
    for frame in footage.taken:
        if is_cancelled():
            raise Cancelled
        if footage.masks[frame].any():
            return
    label = table.whole("label")
    what = "its masks are empty" if label is None else f"no mask has the label {label}"
    raise InputError(f"{table.where}, {footage.clip.name}: {what} in the frames that are taken")


def read_timing(table: Table) -> Timing:
    """Which frames are taken and when they are shown; `InputError` for a wrong value."""
    fps, first, begin = table.number("fps"), table.whole("first", 0), table.whole("begin", 0)
    pause, reverse = table.values.get("pause", 0), table.values.get("reverse", False)
    if pause == "end":
        pause = None
    elif not isinstance(pause, int) or isinstance(pause, bool) or not 0 <= pause <= _LONGEST_PAUSE:
        raise InputError(
            f"{table.where}: pause is {pause!r}; it is a number of frames up to {_LONGEST_PAUSE}, "
            "or 'end'"
        )
    if not isinstance(reverse, bool):
        raise InputError(f"{table.where}: reverse is {reverse!r}, it is true or false")
    if fps is not None and fps <= 0:
        raise InputError(f"{table.where}: fps is {fps}, it is above 0")
    return Timing(fps, first or 0, table.whole("last"), reverse, begin or 0, pause)


def own_folder(table: Table) -> Path | None:
    """The clip folder that brings a table's masks; None where they come from elsewhere."""
    source = table.path("source")
    elsewhere = table.path("masks") is not None or table.path("track") is not None
    return None if elsewhere or source is None or not is_tabe51(source) else source


def brings_masks(table: Table, source: Path) -> bool:
    """Whether a table says where the masks are, or its source is a clip folder with some."""
    if "masks" in table.values or "track" in table.values:
        return True
    return is_tabe51(source) and any((source / name).is_dir() for name in (AMODAL, VISIBLE))


def read_masks(
    table: Table, source: Path, clip: Clip, timing: Timing, is_cancelled: IsCancelled
) -> Mapping[int, Mask]:
    """The masks of a table's thing by frame of its source; what is to be tracked is tracked."""
    masks, query = table.path("masks"), table.path("track")
    if masks is not None and query is not None:
        raise InputError(f"{table.where} has masks and track: keep one of them")
    if masks is not None:
        return open_masks(masks, clip, table.whole("label"))
    if query is not None:
        frame, engine = table.whole("track_frame", 0) or 0, table.values.get("engine", "draft")
        mask = read_labels(query, (clip.height, clip.width)) != 0
        if not mask.any():
            raise InputError(f"{query} is empty: paint the object's mask on frame {frame}")
        return tracked_masks(clip, {frame: mask}, str(engine), timing, is_cancelled=is_cancelled)
    if is_tabe51(source):
        return own_masks(source)
    raise InputError(f"{table.where} has no masks: give masks, or track")
