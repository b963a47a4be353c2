"""DAVIS and YouTube-VOS: one palette PNG a frame, whose indices are the objects.

``JPEGImages/Full-Resolution/NAME/00000.jpg`` and ``Annotations/Full-Resolution/NAME/00000.png``;
the folder of the resolution (``480p``) may be missing, as in YouTube-VOS. A file holds one kind of
masks, and of objects that overlap the one with the lowest number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import (
    DEFAULT_CATEGORY,
    Dataset,
    DatasetClip,
    checked_name,
    checked_size,
    object_of,
)
from napari_amodal.formats.format_table import MaskKind
from napari_amodal.formats.frame_files import put_numbered_frames
from napari_amodal.formats.images import image_files, natural_key, read_header, shown
from napari_amodal.formats.mask_png import read_labels
from napari_amodal.masks import Mask

FRAMES = "JPEGImages"
MASKS = "Annotations"
RESOLUTION = "Full-Resolution"

#: The index that stands for "do not care".
_VOID = 255


def is_davis(folder: Path) -> bool:
    """Whether a path is a folder with an ``Annotations/`` folder in it."""
    return (folder / MASKS).is_dir()


@contextmanager
def open_davis(
    folder: Path, images: Path | None = None, kind: MaskKind = MaskKind.VISIBLE
) -> Iterator[Dataset]:
    """The clips of a folder in DAVIS' layout.

    Raises
    ------
    InputError
        It has none, or several resolutions.
    """
    clips = _clip_folders(folder.absolute() / MASKS)
    root = images.absolute() if images else None
    names = tuple(checked_name(clip.name, "a clip") for clip in clips)
    yield Dataset(names, _DavisReader(clips, names, root, kind))


def _clip_folders(annotations: Path) -> tuple[Path, ...]:
    for folder in (annotations, *sorted(annotations.iterdir())):
        inner = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        found = sorted((path for path in inner if image_files(path)), key=natural_key)
        if found and folder != annotations and len(list(annotations.iterdir())) > 1:
            names = ", ".join(sorted(path.name for path in annotations.iterdir()))
            raise InputError(
                f"{annotations} has more than one resolution ({names}): keep one of them in it"
            )
        if found:
            return tuple(found)
    raise InputError(f"{annotations} holds no clip: its masks are in folders named after clips")


class _LabelFiles:
    """Label images, one a frame; the last one that was read is kept."""

    def __init__(self, files: tuple[Path, ...], size: tuple[int, int]) -> None:
        self.files = files
        self._read = lru_cache(1)(lambda frame: read_labels(files[frame], size))

    def labels(self, frame: int) -> NDArray[np.int32]:
        return self._read(frame)


class _ObjectMasks(Mapping[int, Mask]):
    """The masks of one object in label images."""

    def __init__(self, labels: _LabelFiles, frames: Mapping[int, int], number: int) -> None:
        self._labels = labels
        self._frames = frames
        self._number = number

    def __getitem__(self, frame: int) -> Mask:
        mask: Mask = self._labels.labels(self._frames[frame]) == self._number
        return mask

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


@dataclass(frozen=True)
class _DavisReader:
    clips: tuple[Path, ...]
    names: tuple[str, ...]
    images: Path | None
    kind: MaskKind

    def __call__(self, number: int) -> DatasetClip:
        folder, name = self.clips[number], self.names[number]
        masks = tuple(path for path in image_files(folder) if path.suffix.lower() == ".png")
        if not masks:
            raise InputError(f"{folder} holds no PNG")
        header = read_header(masks[0])
        size = checked_size(header.height, header.width, shown(masks[0]))
        frames = _frames_of(folder, self.images)
        # Masks of YouTube-VOS are there for every fifth frame only.
        stems = [path.stem for path in frames] if frames else [path.stem for path in masks]
        place = {stem: at for at, stem in enumerate(stems)}
        for path in masks:
            if path.stem not in place:
                raise InputError(f"{shown(path)} has no frame: remove or rename it")
        labels = _LabelFiles(masks, size)
        by_frame = {place[path.stem]: at for at, path in enumerate(masks)}
        numbers = sorted(set().union(*(_numbers(labels.labels(at)) for at in range(len(masks)))))
        names = tuple(f"{name}/{path.name}" for path in frames) if frames else None
        return DatasetClip(
            name,
            *size,
            names or tuple(f"{name}/{stem}.jpg" for stem in stems),
            tuple(
                object_of(self.kind, found, DEFAULT_CATEGORY, _ObjectMasks(labels, by_frame, found))
                for found in numbers
            ),
            frames,
        )


def _numbers(labels: NDArray[np.int32]) -> set[int]:
    return {int(value) for value in np.unique(labels) if value > 0}


def _frames_of(folder: Path, images: Path | None) -> tuple[Path, ...] | None:
    """The frames that belong to a folder of masks."""
    if images is not None:
        return image_files(images / folder.name) or None if images.is_dir() else None
    parts = list(folder.parts)
    at = len(parts) - 1 - parts[::-1].index(MASKS)
    parts[at] = FRAMES
    beside = Path(*parts)
    return (image_files(beside) or None) if beside.is_dir() else None


@dataclass(frozen=True)
class DavisTarget:
    """Writes clips in DAVIS' layout.

    Attributes
    ----------
    kind : MaskKind
        Which masks the files hold.
    with_frames : bool
    """

    kind: MaskKind
    with_frames: bool

    def __call__(self, folder: Path, clip: DatasetClip) -> None:
        """Write one clip."""
        numbers = [found.number for found in clip.objects]
        if max(numbers, default=0) >= _VOID:
            raise InputError(
                f"{clip.name!r} has the object {max(numbers)}: DAVIS numbers them from 1 to 254"
            )
        masks = folder / MASKS / RESOLUTION / clip.folder_name
        masks.mkdir(parents=True)
        known = {frame for found in clip.objects for frame in found.masks(self.kind)}
        for frame in sorted(known) or [0]:  # a clip without an object is a clip, too
            labels = joined_labels(clip, self.kind, frame).astype(np.uint8)
            write_palette(masks / f"{frame:05d}.png", labels)
        if self.with_frames:
            put_numbered_frames(clip, folder / FRAMES / RESOLUTION / clip.folder_name)


def joined_labels(clip: DatasetClip, kind: MaskKind, frame: int) -> NDArray[np.uint16]:
    """The masks of all objects in one image, ``(H, W)``; the lowest number lies on top."""
    labels = np.zeros((clip.height, clip.width), np.uint16)
    for found in sorted(clip.objects, key=lambda found: -found.number):
        masks = found.masks(kind)
        if frame in masks:
            labels[masks[frame]] = found.number
    return labels


def write_palette(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write labels, uint8 ``(H, W)``, as a palette PNG in the colours of DAVIS."""
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    image.save(path, compress_level=1)


@lru_cache(1)
def palette() -> NDArray[np.uint8]:
    """The colours of DAVIS and PASCAL VOC, uint8 ``(256, 3)``.

    The bits of the index go round red, green and blue, the lowest to the highest bit first
    (PASCAL VOC development kit, ``VOClabelcolormap``).
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            bit = index >> (3 * level + channel) & 1
            colours[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return colours
