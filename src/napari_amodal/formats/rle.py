"""Run-length encoding of masks as COCO has it, and COCO's polygons.

Masks are encoded, and polygons drawn, by pycocotools. Reading is done here, as pycocotools reads
beyond the end of a text that stops in the middle of a number and takes runs that do not fill the
mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.dataset import short
from napari_amodal.masks import Mask

#: A run is written in up to so many digits of 5 bits.
_MOST_DIGITS = 7
_MOST_POINTS = 1_000_000


def coco_mask() -> Any:
    """The module ``pycocotools.mask``."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise CallError(
            "this format needs pycocotools: pip install 'napari-amodal[datasets]'"
        ) from error
    return mask


def encode_mask(mask: Mask) -> str:
    """A mask, bool ``(H, W)``, as COCO's compressed text."""
    counts: bytes = coco_mask().encode(np.asfortranarray(mask.view(np.uint8)))["counts"]
    return counts.decode("ascii")


def rle_of(mask: Mask) -> dict[str, Any]:
    """A mask as COCO's object with ``size`` and ``counts``."""
    return {"size": [int(side) for side in mask.shape], "counts": encode_mask(mask)}


def decode_runs(counts: object, height: int, width: int, what: str) -> Mask:
    """The mask, bool ``(H, W)``, that runs stand for: compressed text or a list of their lengths.

    Raises
    ------
    InputError
        They are broken, or do not fill a mask of that size.
    """
    runs = _runs_of(counts, what)
    if runs.size == 0 or runs.min() < 0 or int(runs.sum()) != height * width:
        raise InputError(
            f"{what} does not fill {width}x{height} pixels: its run lengths are broken or of "
            "another size"
        )
    inside = np.zeros(runs.size, np.bool_)
    inside[1::2] = True
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def _runs_of(counts: object, what: str) -> NDArray[np.int64]:
    broken = InputError(f"{what} has no run lengths that can be read: {short(counts)}")
    if isinstance(counts, list):
        if not all(type(run) is int and 0 <= run < 1 << 40 for run in counts):
            raise broken
        return np.array(counts, np.int64)
    if not isinstance(counts, str) or not counts or not counts.isascii():
        raise broken
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(digits & 32 == 0)
    if digits.min() < 0 or digits.max() > 63 or ends.size == 0 or ends[-1] != digits.size - 1:
        raise broken
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MOST_DIGITS:
        raise broken
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, starts)
    runs -= np.where(digits[ends] & 16, np.int64(1) << 5 * lengths, 0)
    # From the fourth on, a run is written as its difference to the one two before.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def decode_segmentation(found: object, height: int, width: int, what: str) -> Mask:
    """The mask of a COCO segmentation: run lengths with their size, or polygons.

    Raises
    ------
    InputError
        It is neither, or it is broken or of another size.
    """
    if isinstance(found, list):
        return _draw(found, height, width, what)
    if not isinstance(found, dict):
        raise InputError(f"{what} is {short(found)}: a segmentation is run lengths or polygons")
    if found.get("size") != [height, width]:
        raise InputError(
            f"{what} is of size {short(found.get('size'))}, the frames have [{height}, {width}]"
        )
    return decode_runs(found.get("counts"), height, width, what)


def _draw(polygons: list[Any], height: int, width: int, what: str) -> Mask:
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]  # COCOA has one polygon, not a list of them
    reach = 10 * max(height, width)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"{what} has a polygon that is not [x, y, x, y, x, y, ...]")
        if len(polygon) > _MOST_POINTS or not all(_is_near(place, reach) for place in polygon):
            raise InputError(f"{what} has a polygon that goes far beyond {width}x{height} pixels")
    if not polygons:
        return np.zeros((height, width), np.bool_)
    tools = coco_mask()
    floats = [[float(place) for place in polygon] for polygon in polygons]
    drawn = tools.decode(tools.merge(tools.frPyObjects(floats, height, width)))
    return np.ascontiguousarray(drawn.astype(np.bool_))


def _is_near(place: object, reach: int) -> bool:
    if isinstance(place, bool) or not isinstance(place, int | float):
        return False
    return abs(place) <= reach  # not NaN either


class Segmentations(Mapping[int, Mask]):
    """Masks by frame index from COCO segmentations; each is decoded when it is looked up.

    Parameters
    ----------
    found : mapping of int to object
        Segmentations, or texts of run lengths, as they stand in the file.
    height, width : int
    what : str
        Whose they are, for messages.
    """

    def __init__(self, found: Mapping[int, object], height: int, width: int, what: str) -> None:
        self._found = found
        self._height = height
        self._width = width
        self._what = what

    def __getitem__(self, frame: int) -> Mask:
        found = self._found[frame]
        what = f"{self._what}, frame {frame},"
        if isinstance(found, str):
            return decode_runs(found, self._height, self._width, what)
        return decode_segmentation(found, self._height, self._width, what)

    def __iter__(self) -> Iterator[int]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
