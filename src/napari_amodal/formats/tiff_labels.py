"""Multi-page TIFF label stacks, as ImageJ or OME has them: one file a clip and kind of masks.

``NAME_visible.tif`` and ``NAME_amodal.tif`` (``.ome.tif`` for OME), one page a frame, the value is
the object's number. Of objects that overlap a pixel holds the lowest number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import (
    DEFAULT_CATEGORY,
    MOST_FRAMES,
    ClipObject,
    Dataset,
    DatasetClip,
    checked_name,
    checked_size,
)
from napari_amodal.formats.davis import joined_labels
from napari_amodal.formats.format_table import MaskKind
from napari_amodal.formats.frame_files import frames_in
from napari_amodal.formats.images import natural_key
from napari_amodal.formats.tiff import check_pages
from napari_amodal.masks import Mask

_FILE = re.compile(r"(.+?)(?:_(visible|amodal))?(?:\.ome)?\.tiff?", re.IGNORECASE)
_HIGHEST = np.iinfo(np.uint16).max

#: No file of labels is made of more objects; a photograph is.
_MOST_OBJECTS = 4096


def label_files(folder: Path) -> dict[str, dict[MaskKind, Path]]:
    """The label stacks of a folder, or the one that a path is, by clip and kind.

    A file without a kind in its name holds visible masks.
    """
    files = [folder] if folder.is_file() else sorted(folder.iterdir(), key=natural_key)
    found: dict[str, dict[MaskKind, Path]] = {}
    for path in files:
        match = _FILE.fullmatch(path.name)
        if match is None or path.name.startswith(".") or not path.is_file():
            continue
        kind = MaskKind((match[2] or "visible").lower())
        clip = found.setdefault(checked_name(match[1], "a TIFF"), {})
        if kind in clip:
            raise InputError(f"{clip[kind].name} and {path.name} both hold the {kind} masks")
        clip[kind] = path
    return found


@contextmanager
def open_tiff_labels(folder: Path, images: Path | None = None) -> Iterator[Dataset]:
    """The clips of a folder of label stacks, or of one file.

    Parameters
    ----------
    folder : pathlib.Path
    images : pathlib.Path, optional
        A folder with a folder of frames a clip; the stacks have none.
    """
    files = label_files(folder.absolute())
    if not files:
        raise InputError(f"{folder} holds no TIFF")
    yield Dataset(tuple(files), _TiffReader(tuple(files.items()), images and images.absolute()))


class _LabelStack:
    """The pages of a label stack, read one by one; the last one is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        check_pages(path)
        try:
            with tifffile.TiffFile(path) as file:
                series = file.series[0]
                page: Any = series.keyframe
                size = page.imagelength, page.imagewidth
                # Axes of one page or pixel are there, too: tifffile would drop them.
                sizes, axes = series.get_shape(False), series.get_axes(False)
                dtype, samples = series.dtype, page.samplesperpixel
        except Exception as error:  # broken files make tifffile raise almost anything
            raise InputError(f"{path} cannot be read as TIFF: {error}") from error
        counts = [n for n, axis in zip(sizes, axes, strict=True) if axis not in "YXS" and n > 1]
        if len(counts) > 1 or samples != 1 or dtype.kind not in "bui":
            raise InputError(
                f"{path} has the axes {axes} of sizes {sizes} and values of type {dtype}: "
                "labels are whole numbers, one page a frame"
            )
        self.shape = (counts[0] if counts else 1, *size)
        checked_size(self.shape[1], self.shape[2], str(path))
        if self.shape[0] > MOST_FRAMES:
            raise InputError(f"{path} has {self.shape[0]} pages")
        self._page = lru_cache(1)(self._read)

    def labels(self, frame: int) -> NDArray[Any]:
        return self._page(frame)

    def _read(self, frame: int) -> NDArray[Any]:
        try:
            with tifffile.TiffFile(self._path) as file:
                series: Any = file.series[0]
                if len(series.pages) == 1 and self.shape[0] > 1:
                    # One page for all, as tifffile and ImageJ write stacks that are not compressed.
                    pages = series.asarray(out="memmap").reshape(self.shape)
                    return np.array(pages[frame])
                page = np.asarray(series.pages[frame].asarray())
        except Exception as error:  # broken files make tifffile raise almost anything
            raise InputError(f"page {frame} of {self._path} cannot be read: {error}") from error
        if page.shape != self.shape[1:]:
            raise InputError(f"page {frame} of {self._path} is of another size than the first")
        return page

    def numbers(self) -> set[int]:
        """The labels of all pages."""
        found: set[int] = set()
        for frame in range(self.shape[0]):
            found |= {int(value) for value in np.unique(self.labels(frame)) if value}
            if len(found) > _MOST_OBJECTS or min(found, default=1) < 1:
                raise InputError(
                    f"{self._path} holds no labels: it has too many values, or negative"
                )
        return found


class _ObjectPages(Mapping[int, Mask]):
    """The masks of one object in a label stack."""

    def __init__(self, stack: _LabelStack, number: int) -> None:
        self._stack = stack
        self._number = number

    def __getitem__(self, frame: int) -> Mask:
        if not 0 <= frame < len(self):
            raise KeyError(frame)
        mask: Mask = self._stack.labels(frame) == self._number
        return mask

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return int(self._stack.shape[0])


@dataclass(frozen=True)
class _TiffReader:
    clips: tuple[tuple[str, dict[MaskKind, Path]], ...]
    images: Path | None

    def __call__(self, number: int) -> DatasetClip:
        name, files = self.clips[number]
        stacks = {kind: _LabelStack(path) for kind, path in files.items()}
        shapes = {stack.shape for stack in stacks.values()}
        if len(shapes) > 1:
            raise InputError(f"the visible and the amodal masks of {name!r} are of different sizes")
        count, height, width = shapes.pop()
        numbers = sorted(set().union(*(stack.numbers() for stack in stacks.values())))

        def masks(kind: MaskKind, found: int) -> Mapping[int, Mask]:
            return _ObjectPages(stacks[kind], found) if kind in stacks else {}

        frames = frames_in(self.images / name, count) if self.images else None
        names = [path.name for path in frames] if frames else [f"{n:05d}.jpg" for n in range(count)]
        return DatasetClip(
            name,
            height,
            width,
            tuple(f"{name}/{frame}" for frame in names),
            tuple(
                ClipObject(
                    found,
                    DEFAULT_CATEGORY,
                    masks(MaskKind.VISIBLE, found),
                    masks(MaskKind.AMODAL, found),
                )
                for found in numbers
            ),
            frames,
        )


@dataclass(frozen=True)
class TiffTarget:
    """Writes clips as label stacks.

    Attributes
    ----------
    ome : bool
        OME metadata instead of ImageJ's.
    """

    ome: bool

    def __call__(self, folder: Path, clip: DatasetClip) -> None:
        """Write one clip: a file for each kind of masks that it has."""
        highest = max((found.number for found in clip.objects), default=0)
        if highest > _HIGHEST:
            raise InputError(f"{clip.name!r} has the object {highest}: labels end at {_HIGHEST}")
        dtype = np.uint8 if highest < 256 else np.uint16
        for kind in MaskKind:
            if any(found.masks(kind) for found in clip.objects) or (
                kind is MaskKind.VISIBLE and not any(found.amodal for found in clip.objects)
            ):
                suffix = ".ome.tif" if self.ome else ".tif"
                path = folder / f"{clip.folder_name}_{kind}{suffix}"
                if path.exists():
                    raise InputError(f"two clips are called {clip.folder_name!r}")
                _write(path, clip, kind, np.dtype(dtype), self.ome)


def _write(path: Path, clip: DatasetClip, kind: MaskKind, dtype: np.dtype[Any], ome: bool) -> None:
    pages = (joined_labels(clip, kind, frame).astype(dtype) for frame in range(len(clip)))
    count, size = len(clip), (clip.height, clip.width)
    if ome:
        tifffile.imwrite(
            path,
            pages,
            shape=(count, *size),
            dtype=dtype,
            photometric="minisblack",
            compression="zlib",
            ome=True,
            metadata={"axes": "TYX"},
        )
        return
    # ImageJ reads stacks that are not compressed only. All its axes are named, as tifffile would
    # take a width of 1 for samples.
    tifffile.imwrite(
        path,
        (page[..., np.newaxis] for page in pages),
        shape=(count, 1, 1, *size, 1),
        dtype=dtype,
        photometric="minisblack",
        imagej=True,
        metadata={"axes": "TZCYXS"},
    )
