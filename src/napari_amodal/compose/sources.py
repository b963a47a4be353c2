"""Opening what a composition is made of: frames, and masks from wherever they come."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_amodal.clip import Clip, clip_over, safe_name
from napari_amodal.compose.course import Timing
from napari_amodal.engine import track
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.images import (
    IMAGE_SUFFIXES,
    ImageFolder,
    image_files,
    read_header,
)
from napari_amodal.formats.mask_png import check_size, read_labels
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.formats.tiff import TIFF_SUFFIXES
from napari_amodal.masks import Mask
from napari_amodal.progress import Progress, Watch
from napari_amodal.registry import find_engine
from napari_amodal.stages import Query
from napari_amodal.workers import IsCancelled

#: `ChainMap` asks for it; nothing is set.
_Masks: TypeAlias = MutableMapping[int, Mask]


def own_masks(folder: Path) -> Mapping[int, Mask]:
    """The masks that a clip folder brings: of each frame the visible one, or else the amodal one.

    What hides a thing in its own clip is so never cut out with it. Of an object that nothing
    hides the two are one (`napari_amodal.compose.whole_object`).
    """
    read = read_tabe51(folder)
    masks = ChainMap(cast("_Masks", read.visible), cast("_Masks", read.amodal))
    if not masks:
        raise CallError(
            f"{folder} brings no masks: give masks, or track them from a mask of one frame"
        )
    return masks


def open_plate(path: Path) -> Clip:
    """An occluder's background without it: a picture, or a clip of as many frames as the source.

    Raises
    ------
    InputError
        It cannot be read.
    """
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES - TIFF_SUFFIXES:
        return clip_over(safe_name(path.stem), ImageFolder((path,), (read_header(path),)), path)
    return open_clip(path)


def open_masks(path: Path, clip: Clip, label: int | None) -> Mapping[int, Mask]:
    """The masks of a clip in a folder of images or a multi-page TIFF, one a frame, in order.

    Parameters
    ----------
    path : pathlib.Path
    clip : Clip
    label : int or None
        The object to take where there are several; None: whatever is not 0.

    Raises
    ------
    CallError
        There is nothing.
    InputError
        There is not one mask a frame, or one is of another size.
    """
    if path.is_dir():
        files = image_files(path)
        source: _MaskFiles | _MaskPages = _MaskFiles(files, clip, label)
        count = len(files)
    elif path.suffix.lower() in TIFF_SUFFIXES and path.is_file():
        source = _MaskPages(path, clip, label)
        count = len(source)
    else:
        raise CallError(f"{path} is no folder of masks and no TIFF stack of labels")
    if count != len(clip):
        raise InputError(
            f"{path} has {count} masks, {clip.name} has {len(clip)} frames: give one for each"
        )
    return source


def write_masks(path: Path, clip: Clip, masks: Mapping[int, Mask], watch: Watch) -> None:
    """Write masks as a TIFF stack of a page a frame of `clip`, as `open_masks` reads it.

    Raises
    ------
    InputError
        The file cannot be written.
    Cancelled
        The watch says so; what was there is untouched.
    """

    def pages() -> Iterator[NDArray[np.uint8]]:
        none = np.zeros((clip.height, clip.width), np.uint8)
        for frame in range(len(clip)):
            watch.step(frame, len(clip))
            yield masks[frame].astype(np.uint8) if frame in masks else none

    shape = (len(clip), clip.height, clip.width)
    beside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(beside, pages(), shape=shape, dtype=np.uint8, compression="zlib")
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


class _MaskFiles(Mapping[int, Mask]):
    """Mask images in natural order; each is read when it is looked up."""

    def __init__(self, files: tuple[Path, ...], clip: Clip, label: int | None) -> None:
        self._files, self._label = files, label
        self._size = (clip.height, clip.width)

    def __getitem__(self, frame: int) -> Mask:
        labels = read_labels(self._files[frame], self._size)
        return np.asarray(labels != 0 if self._label is None else labels == self._label)

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and 0 <= frame < len(self)  # Mapping's own would read it

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._files)))

    def __len__(self) -> int:
        return len(self._files)


class _MaskPages(Mapping[int, Mask]):
    """The pages of a label TIFF; each is read when it is looked up."""

    def __init__(self, path: Path, clip: Clip, label: int | None) -> None:
        self._path, self._label = path, label
        self._size = (clip.height, clip.width)
        try:
            with tifffile.TiffFile(path) as file:
                series = file.series[0]
                self._shape = tuple(int(side) for side in series.shape)
        except Exception as error:  # broken files make tifffile raise almost anything
            raise InputError(f"{path} cannot be read as a TIFF stack: {error}") from error
        if len(self._shape) != 3:
            raise InputError(f"{path} has the shape {self._shape}: labels are (frames, rows, cols)")
        check_size(path, self._shape[1:], self._size)

    def __getitem__(self, frame: int) -> Mask:
        if not 0 <= frame < len(self):
            raise KeyError(frame)
        labels = np.asarray(tifffile.imread(self._path, key=frame, series=0))
        return np.asarray(labels != 0 if self._label is None else labels == self._label)

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and 0 <= frame < len(self)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return self._shape[0]


def tracked_masks(
    clip: Clip,
    queries: Mapping[int, Mask],
    engine: str,
    timing: Timing,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: IsCancelled | None = None,
) -> Mapping[int, Mask]:
    """The masks that an engine's tracker finds over the range that is taken.

    Parameters
    ----------
    clip : Clip
    queries : mapping of int to ndarray
        Mask of one frame or more, by frame of the clip, bool ``(H, W)``.
    engine : str
    timing : Timing
    on_progress, is_cancelled : callable, optional
        As `napari_amodal.engine.run` takes them.

    Returns
    -------
    mapping of int to ndarray
        By frame of the clip, from the first to the last that is taken.

    Raises
    ------
    CallError
        A query frame lies outside the range, or the engine lacks something.
    Cancelled
        `is_cancelled` said so.
    """
    taken = timing.taken(len(clip), clip.fps)
    first, last = min(taken), max(taken)
    for frame in queries:
        if not first <= frame <= last:
            raise CallError(
                f"{clip.name}: the mask to track from is of frame {frame}, taken are {first} to "
                f"{last}"
            )
    part = Clip(clip.name, clip.frames[first : last + 1])
    query = Query({frame - first: mask for frame, mask in queries.items()})
    tracks = track(
        part, {1: query}, find_engine(engine), on_progress=on_progress, is_cancelled=is_cancelled
    )
    masks = tracks[1].masks
    return {first + at: masks[at] for at in range(len(masks))}
