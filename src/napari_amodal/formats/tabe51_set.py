"""Folders of TABE-51 clips as a dataset: ``NAME/``, and ``NAME-1/``, ... for further objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal import __version__
from napari_amodal.clip import origin_of
from napari_amodal.errors import InputError
from napari_amodal.formats.annos import annos_json
from napari_amodal.formats.dataset import ClipObject, Dataset, DatasetClip, checked_name
from napari_amodal.formats.frame_files import put_numbered_frames
from napari_amodal.formats.images import ImageFolder, image_files, natural_key
from napari_amodal.formats.mask_png import write_mask
from napari_amodal.formats.tabe51 import (
    AMODAL,
    ANNOS,
    FRAMES,
    PROVENANCE,
    VISIBLE,
    Tabe51Clip,
    is_tabe51,
    read_tabe51,
)


@contextmanager
def open_tabe51_set(folder: Path, images: Path | None = None) -> Iterator[Dataset]:
    """The clips of a folder of clip folders, or of one clip folder.

    ``NAME-1`` is a further object of ``NAME`` where the two have the same frames: as many files,
    and the first ones byte for byte the same.
    """
    folder = folder.absolute()
    found = [folder] if is_tabe51(folder) else [p for p in folder.iterdir() if is_tabe51(p)]
    groups = _grouped(sorted(found, key=natural_key))
    names = tuple(checked_name(group[0].name, "a clip") for group in groups)
    yield Dataset(names, _SetReader(groups))


def _grouped(folders: list[Path]) -> tuple[tuple[Path, ...], ...]:
    groups: dict[str, list[Path]] = {}
    # A clip comes before its further objects: shorter names first, and those by their number.
    for folder in sorted(folders, key=lambda path: (len(path.name), natural_key(path))):
        match = re.fullmatch(r"(.+)-([1-9][0-9]*)", folder.name)
        base = groups.get(match[1]) if match else None
        if base is not None and _same_frames(base[0], folder):
            base.append(folder)
        else:
            groups[folder.name] = [folder]
    return tuple(tuple(groups[name]) for name in sorted(groups, key=lambda n: natural_key(Path(n))))


def _same_frames(first: Path, second: Path) -> bool:
    ours, theirs = image_files(first / FRAMES), image_files(second / FRAMES)
    if not ours or len(ours) != len(theirs) or ours[0].stat().st_size != theirs[0].stat().st_size:
        return False
    return ours[0].read_bytes() == theirs[0].read_bytes()


@dataclass(frozen=True)
class _SetReader:
    groups: tuple[tuple[Path, ...], ...]

    def __call__(self, number: int) -> DatasetClip:
        folders = self.groups[number]
        first, *others = [read_tabe51(folder) for folder in folders]
        name, clip = folders[0].name, first.clip
        size = len(clip), clip.height, clip.width
        for folder, other in zip(folders[1:], others, strict=True):
            if (len(other.clip), other.clip.height, other.clip.width) != size:
                raise InputError(f"{folder} and {folders[0]} have frames of different sizes")
        numbers = _numbers([first, *others])
        objects = sorted(
            (_object(n, read) for n, read in zip(numbers, [first, *others], strict=True)),
            key=lambda found: found.number,
        )
        source = origin_of(clip.frames)
        assert source is not None
        assert isinstance(source.source, ImageFolder)
        files = source.source.files
        names = tuple(f"{name}/{path.name}" for path in files)
        return DatasetClip(name, clip.height, clip.width, names, tuple(objects), files)


def _numbers(clips: list[Tabe51Clip]) -> list[int]:
    """The numbers that ``napari-amodal.json`` gives, or 1, 2, ... in the order of the folders."""
    given = [(read.provenance or {}).get("object") for read in clips]
    plain = [number for number in given if type(number) is int and number > 0]
    usable = len(plain) == len(given) and len(set(plain)) == len(plain)
    return plain if usable else list(range(1, len(clips) + 1))


def _object(number: int, read: Tabe51Clip) -> ClipObject:
    return ClipObject(
        number,
        visible=read.visible,
        amodal=read.amodal,
        occlusion=dict(enumerate(read.occlusion or ())),
        origin=None if _is_ours(read.provenance) else read.provenance,
    )


def _is_ours(provenance: Mapping[str, Any] | None) -> bool:
    """Whether this module wrote ``napari-amodal.json`` for masks of unknown origin."""
    return provenance is not None and provenance.keys() == _provenance(ClipObject(1)).keys()


@dataclass(frozen=True)
class Tabe51Target:
    """Writes clips as TABE-51 folders, one an object."""

    def __call__(self, folder: Path, clip: DatasetClip) -> None:
        """Write one clip.

        Raises
        ------
        InputError
            Its frames are not there, it has no object, or another clip has the same folder.
        """
        if clip.images is None:
            raise InputError(
                f"the frames of {clip.name!r} are not there, a TABE-51 folder holds them: give "
                f"their folder (--images), in which {clip.frame_names[0]} is"
            )
        if not clip.objects:
            raise InputError(f"{clip.name!r} has no object: a TABE-51 folder is one of an object")
        for at, found in enumerate(sorted(clip.objects, key=lambda found: found.number)):
            target = folder / (f"{clip.folder_name}-{at}" if at else clip.folder_name)
            if target.exists():
                raise InputError(f"two clips would be written to {target.name}/: rename one")
            target.mkdir()
            put_numbered_frames(clip, target / FRAMES)
            _put_masks(target / VISIBLE, found.visible)
            _put_masks(target / AMODAL, found.amodal)
            if len(found.occlusion) == len(clip):
                occlusion = tuple(found.occlusion[frame] for frame in range(len(clip)))
                (target / ANNOS).write_text(annos_json(occlusion), "utf-8")
            text = json.dumps(_provenance(found), indent=1, allow_nan=False)
            (target / PROVENANCE).write_text(text + "\n", "utf-8")


def _put_masks(folder: Path, masks: Mapping[int, Any]) -> None:
    folder.mkdir()
    for frame in masks:
        write_mask(folder / f"{frame:05d}.png", masks[frame])


def _provenance(found: ClipObject) -> dict[str, Any]:
    if found.origin is not None:
        return {**found.origin, "object": found.number}
    return {
        "format": "napari-amodal",
        "format_version": 1,
        "software": {"napari-amodal": __version__},
        "object": found.number,
        "engine": None,
    }
