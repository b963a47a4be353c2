"""What a dataset is, whatever format holds it: clips with objects, read one clip at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_amodal.boxes import Box
from napari_amodal.errors import InputError
from napari_amodal.formats.format_table import MaskKind
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack

#: A frame of 8K video has 33 million pixels; a file that declares more than this is not meant.
MOST_PIXELS = 100_000_000
MOST_FRAMES = 1_000_000

#: What objects are called where nobody says what they are.
DEFAULT_CATEGORY = "object"

_NOTHING: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ClipObject:
    """One object of a clip; every mapping is by frame index and may lack frames.

    Attributes
    ----------
    number : int
        Which object of the clip it is, from 1 on.
    category : str
    visible, amodal : mapping of int to ndarray
        Masks, bool ``(H, W)``, made when they are looked up. A frame that is not in it has no mask,
        which is not the same as an empty one.
    visible_boxes : mapping of int to Box
        Boxes of the visible part on frames without a visible mask.
    amodal_boxes : mapping of int to Box
        Boxes of the whole object on frames where the amodal mask's own box is another one (the
        object reaches beyond the frame) or where there is no amodal mask.
    occlusion : mapping of int to FrameOcclusion
    origin : mapping or None
        ``napari-amodal.json`` of the object.
    """

    number: int
    category: str = DEFAULT_CATEGORY
    visible: Mapping[int, Mask] = field(default_factory=lambda: _NOTHING)
    amodal: Mapping[int, Mask] = field(default_factory=lambda: _NOTHING)
    visible_boxes: Mapping[int, Box] = field(default_factory=lambda: _NOTHING)
    amodal_boxes: Mapping[int, Box] = field(default_factory=lambda: _NOTHING)
    occlusion: Mapping[int, FrameOcclusion] = field(default_factory=lambda: _NOTHING)
    origin: Mapping[str, Any] | None = None

    def masks(self, kind: MaskKind) -> Mapping[int, Mask]:
        return self.visible if kind is MaskKind.VISIBLE else self.amodal


def object_of(kind: MaskKind, number: int, category: str, masks: Mapping[int, Mask]) -> ClipObject:
    """An object of which one kind of masks is known."""
    if kind is MaskKind.VISIBLE:
        return ClipObject(number, category, visible=masks)
    return ClipObject(number, category, amodal=masks)


@dataclass(frozen=True)
class DatasetClip:
    """One clip of a dataset.

    Attributes
    ----------
    name : str
        May have folders in it (``train/YFCC100M/v_25685519b728afd746dfd1b2fe77c``).
    height, width : int
    frame_names : tuple of str
        One a frame: its file, relative to the folder of all frames; ``/`` between the parts.
    objects : tuple of ClipObject
    images : tuple of pathlib.Path or None
        The files of the frames, where they are there.
    """

    name: str
    height: int
    width: int
    frame_names: tuple[str, ...]
    objects: tuple[ClipObject, ...]
    images: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.frame_names)

    @property
    def folder_name(self) -> str:
        """The name as that of one folder."""
        return self.name.replace("/", "_")


@dataclass(frozen=True)
class Dataset:
    """The clips of a dataset: their names, and how to read each.

    Attributes
    ----------
    names : tuple of str
    read : callable
        Number of a clip to `DatasetClip`; raises `InputError`. It can be sent to another process.
    """

    names: tuple[str, ...]
    read: Callable[[int], DatasetClip]


class StackMasks(Mapping[int, Mask]):
    """The masks of a stack by frame index."""

    def __init__(self, stack: MaskStack) -> None:
        self._stack = stack

    def __getitem__(self, frame: int) -> Mask:
        if not 0 <= frame < len(self._stack):
            raise KeyError(frame)
        return self._stack[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._stack)))

    def __len__(self) -> int:
        return len(self._stack)


def checked_name(name: object, what: str) -> str:
    """A name from a file as a relative path that stays inside the folder that it is put in.

    Raises
    ------
    InputError
        It is no text, is absolute, steps upwards, or has characters that no file name has.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"{what} has no name: give it one")
    parts = name.split("/")
    # A name that ends in a dot or a space is another one on Windows.
    odd = re.search(r'[\x00-\x1f\x7f\\<>:"|?*]', name) or len(name.encode(errors="replace")) > 1000
    # Names that begin with a dot are hidden, and those of what is being written begin with one.
    wrong = any(not part or part.startswith(".") or part.strip(" .") == "" for part in parts)
    if odd or wrong or any(len(part.encode(errors="replace")) > 200 for part in parts):
        raise InputError(
            f"{what} is called {short(name)}: that is no name within a folder; rename it"
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} is called {short(name)}: that is no text; rename it") from error
    return name


def checked_size(height: object, width: object, what: str) -> tuple[int, int]:
    """``(height, width)`` of frames as a file declares them."""
    sides = [side for side in (height, width) if type(side) is int]
    if len(sides) < 2 or min(sides) < 1 or sides[0] * sides[1] > MOST_PIXELS:
        raise InputError(
            f"{what} is {short(width)}x{short(height)}: a frame has from 1 to {MOST_PIXELS} "
            "pixels; correct its width and height"
        )
    return sides[0], sides[1]


def checked_id(value: object, what: str) -> int:
    """An id: a whole number of 63 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise InputError(f"{what} is {short(value)}: ids are whole numbers")
    return value


def checked_amount(value: object, what: str) -> float:
    """An occlusion amount: a finite number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e300:
        raise InputError(
            f"{what} has the occlusion amount {short(value)}: it is the hidden share of the "
            "object, a number from 0 on"
        )
    return float(value)


def checked_occlusion(level: object, amount: object, what: str) -> FrameOcclusion | None:
    """Level and amount of a frame; the level that belongs to the amount where none is given."""
    share = None if amount is None else checked_amount(amount, what)
    if level is None:
        return None if share is None else FrameOcclusion(level_of(share), share)
    if not isinstance(level, str) or level not in OcclusionLevel.__members__:
        known = ", ".join(OcclusionLevel.__members__)
        raise InputError(f"{what} has the level {short(level)}; levels are {known}")
    return FrameOcclusion(OcclusionLevel[level], share)


def box_from_xywh(value: object, what: str) -> Box | None:
    """A box ``[x, y, width, height]`` as the pixels that it touches; None for an empty one."""
    if value is None:
        return None
    wrong = InputError(f"{what} is {short(value)}: a box is [x, y, width, height], in pixels")
    if not isinstance(value, list) or len(value) != 4:
        raise wrong
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise wrong
        if not abs(number) <= MOST_PIXELS:  # not NaN either
            raise wrong
    x, y, width, height = value
    if width <= 0 or height <= 0:
        return None
    return Box(math.floor(y), math.floor(x), math.ceil(y + height), math.ceil(x + width))


def box_as_xywh(box: Box | None) -> list[int]:
    """``[x, y, width, height]``; zeros for no box."""
    return [0, 0, 0, 0] if box is None else [box.x0, box.y0, box.width, box.height]


def hidden_share(visible: Mask, amodal: Mask) -> float:
    """The hidden share of an object in one frame; 0 where there is nothing of it."""
    whole = int((visible | amodal).sum())
    return 1.0 - int(visible.sum()) / whole if whole else 0.0


def short(value: object) -> str:
    """A value from a file, for a message: never long, nothing that a terminal would act on."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a whole number of very many digits
        return "something"
    return text if len(text) <= 60 else text[:57] + "..."
