"""The formats of datasets: what each keeps, telling them apart, opening and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats import burst, coco, cocoa, tao_amodal, yolo
from napari_amodal.formats.dataset import Dataset, DatasetClip, Facet, MaskKind
from napari_amodal.formats.davis import DavisTarget, is_davis, open_davis
from napari_amodal.formats.frame_files import put_frames
from napari_amodal.formats.images import shown
from napari_amodal.formats.json_items import json_items
from napari_amodal.formats.json_parts import Fragment, json_parts
from napari_amodal.formats.tabe51 import is_tabe51
from napari_amodal.formats.tabe51_set import Tabe51Target, open_tabe51_set
from napari_amodal.formats.tiff_labels import TiffTarget, label_files, open_tiff_labels

#: The file of a dataset in JSON, in the folder that is written.
ANNOTATIONS = "annotations.json"

#: The folder of its frames; not ``frames/``, by which a clip folder of TABE-51 is known.
IMAGES = "images"


class DatasetFormat(StrEnum):
    """A format of datasets, by the name that the command knows it by."""

    TABE51 = "tabe51"
    COCO = "coco"
    COCOA = "cocoa"
    TAO_AMODAL = "tao-amodal"
    BURST = "burst"
    DAVIS = "davis"
    TIFF = "tiff"
    OME_TIFF = "ome-tiff"
    YOLO = "yolo"

    @property
    def can_be_read(self) -> bool:
        return self is not DatasetFormat.YOLO


_F = Facet
_MASKS = frozenset({_F.VISIBLE, _F.AMODAL, _F.NUMBERS})
_IN_JSON = frozenset({_F.FRAMES, _F.FRAME_NAMES, _F.NUMBERS, _F.CATEGORY})

#: What each format keeps.
KEEPS: dict[DatasetFormat, frozenset[Facet]] = {
    DatasetFormat.TABE51: frozenset(Facet) - {_F.FRAME_NAMES, _F.CATEGORY, _F.BOXES},
    DatasetFormat.COCO: frozenset(Facet),
    DatasetFormat.COCOA: _IN_JSON | _MASKS | {_F.UNKNOWN, _F.OVERLAP, _F.AMOUNT},
    DatasetFormat.TAO_AMODAL: _IN_JSON | {_F.AMOUNT, _F.BOXES},
    DatasetFormat.BURST: _IN_JSON | {_F.VISIBLE, _F.AMODAL, _F.UNKNOWN, _F.OVERLAP},
    DatasetFormat.DAVIS: frozenset({_F.FRAMES, _F.VISIBLE, _F.AMODAL, _F.NUMBERS}),
    DatasetFormat.TIFF: _MASKS,
    DatasetFormat.OME_TIFF: _MASKS,
    DatasetFormat.YOLO: frozenset({_F.FRAMES, _F.CATEGORY}),
}

#: Formats with room for one kind of masks.
ONE_KIND = frozenset({DatasetFormat.BURST, DatasetFormat.DAVIS, DatasetFormat.YOLO})

#: What a word on what a format keeps would hide; shown with the table.
REMARKS: dict[DatasetFormat, str] = {
    DatasetFormat.TABE51: "frames are numbered; levels and amounts if every frame has them",
    DatasetFormat.COCOA: "amodal masks become their union with the visible ones; levels follow "
    "from amounts",
    DatasetFormat.TAO_AMODAL: "boxes instead of masks; amounts up to 1; levels follow from amounts",
    DatasetFormat.BURST: "one kind of masks (--masks)",
    DatasetFormat.DAVIS: "one kind of masks (--masks); up to 254 objects; frames are numbered",
    DatasetFormat.TIFF: "for ImageJ; one file a kind of masks",
    DatasetFormat.OME_TIFF: "one file a kind of masks",
    DatasetFormat.YOLO: "out only; one kind of masks (--masks) as outlines: parts are bridged, "
    "holes filled; frames are numbered",
}


def lost(source: DatasetFormat, target: DatasetFormat, kind: MaskKind) -> tuple[str, ...]:
    """What a dataset in one format may have that another cannot hold, in words."""
    gone = KEEPS[source] - KEEPS[target]
    if target in ONE_KIND and source not in ONE_KIND and Facet.AMODAL in KEEPS[source]:
        gone |= {Facet.AMODAL if kind is MaskKind.VISIBLE else Facet.VISIBLE, Facet.ONE_KIND}
    if target is DatasetFormat.YOLO:
        gone |= {Facet.VISIBLE if kind is MaskKind.VISIBLE else Facet.AMODAL}
    words = [str(facet) for facet in Facet if facet in gone]
    if Facet.ONE_KIND in gone and KEEPS[target] & {Facet.VISIBLE, Facet.AMODAL} != _BOTH:
        words.remove(str(Facet.ONE_KIND))
    return tuple(words)


_BOTH = frozenset({Facet.VISIBLE, Facet.AMODAL})


def recognise(path: Path) -> DatasetFormat | None:
    """The format of what lies at a path, as far as that can be told from a look."""
    if path.is_file():
        if path.suffix.lower() == ".json":
            return _kind_of_json(path)
        return DatasetFormat.TIFF if path.suffix.lower() in (".tif", ".tiff") else None
    if not path.is_dir():
        return None
    if (path / ANNOTATIONS).is_file():
        return _kind_of_json(path / ANNOTATIONS)
    if is_tabe51(path):
        return DatasetFormat.TABE51
    if is_davis(path):
        return DatasetFormat.DAVIS
    if (path / "data.yaml").is_file() and (path / "labels").is_dir():
        return DatasetFormat.YOLO
    if any(is_tabe51(inner) for inner in path.iterdir()):
        return DatasetFormat.TABE51
    return DatasetFormat.TIFF if label_files(path) else None


def _kind_of_json(path: Path) -> DatasetFormat | None:
    try:
        for item in json_items(path):
            if item.key == "sequences":
                return DatasetFormat.BURST
            if item.key == "annotations" and isinstance(item.value, dict):
                return _kind_of_annotation(item.value)
    except InputError:
        return None
    return DatasetFormat.COCO


def _kind_of_annotation(found: dict[str, Any]) -> DatasetFormat:
    if "regions" in found:
        return DatasetFormat.COCOA
    if "amodal_is_uncertain" in found or ("visibility" in found and "amodal_bbox" in found):
        return DatasetFormat.TAO_AMODAL
    return DatasetFormat.COCO


@contextmanager
def open_dataset(
    path: Path, fmt: DatasetFormat, images: Path | None = None, kind: MaskKind = MaskKind.VISIBLE
) -> Iterator[Dataset]:
    """Open a dataset; temporary files go when the block ends.

    Parameters
    ----------
    path : pathlib.Path
        A folder, or the JSON or TIFF file itself.
    fmt : DatasetFormat
    images : pathlib.Path, optional
        The folder of all frames, where they do not lie beside.
    kind : MaskKind
        Which masks a format with room for one kind holds.

    Raises
    ------
    CallError
        The format is for writing only.
    InputError
        There is no such dataset, or it is broken as a whole.
    """
    if not fmt.can_be_read:
        raise CallError(f"{fmt} is for writing only: it has polygons instead of masks")
    file = path / ANNOTATIONS if path.is_dir() else path
    opened: AbstractContextManager[Dataset]
    match fmt:
        case DatasetFormat.COCO:
            opened = coco.open_coco(file, images)
        case DatasetFormat.COCOA:
            opened = cocoa.open_cocoa(file, images)
        case DatasetFormat.TAO_AMODAL:
            opened = tao_amodal.open_tao_amodal(file, images)
        case DatasetFormat.BURST:
            opened = burst.open_burst(file, images, kind)
        case DatasetFormat.DAVIS:
            opened = open_davis(path, images, kind)
        case DatasetFormat.TABE51:
            opened = open_tabe51_set(path)
        case _:
            opened = open_tiff_labels(path, images)
    with opened as dataset:
        if not dataset.names:
            raise InputError(f"{shown(path)} holds no clip")
        yield dataset


class Target(Protocol):
    """What writes a format: clips one by one, in any process, and then what is common to them."""

    def write(self, folder: Path, clip: DatasetClip) -> Any:
        """Write what is a clip's own to an empty folder; give its part of the rest."""
        ...

    def gathered(self, folder: Path) -> AbstractContextManager[Callable[[Any], None]]:
        """Give a function that takes those parts, in order; the rest is written at the end."""
        ...


def target_of(fmt: DatasetFormat, kind: MaskKind, *, with_frames: bool) -> Target:
    """What writes a format."""
    match fmt:
        case DatasetFormat.COCO:
            return _JsonTarget(coco.coco_parts, coco.LISTS, with_frames)
        case DatasetFormat.COCOA:
            return _JsonTarget(cocoa.cocoa_parts, cocoa.LISTS, with_frames)
        case DatasetFormat.TAO_AMODAL:
            parts = tao_amodal.tao_amodal_parts
            return _JsonTarget(parts, tao_amodal.LISTS, with_frames)
        case DatasetFormat.BURST:
            return _JsonTarget(partial(burst.burst_parts, kind), burst.LISTS, with_frames)
        case DatasetFormat.YOLO:
            return _YoloTarget(yolo.YoloTarget(kind, with_frames))
        case DatasetFormat.DAVIS:
            return _FolderTarget(DavisTarget(kind, with_frames))
        case DatasetFormat.TABE51:
            return _FolderTarget(Tabe51Target())
        case _:
            return _FolderTarget(TiffTarget(ome=fmt is DatasetFormat.OME_TIFF))


@dataclass(frozen=True)
class _FolderTarget:
    """A format in which clips have nothing in common."""

    put: Callable[[Path, DatasetClip], None]

    def write(self, folder: Path, clip: DatasetClip) -> None:
        self.put(folder, clip)

    @contextmanager
    def gathered(self, folder: Path) -> Iterator[Callable[[Any], None]]:
        yield lambda part: None


@dataclass(frozen=True)
class _JsonTarget:
    """A format with one JSON file for all clips, and their frames beside it."""

    parts: Callable[[DatasetClip], Fragment]
    lists: tuple[str, ...]
    with_frames: bool

    def write(self, folder: Path, clip: DatasetClip) -> Fragment:
        if self.with_frames:
            put_frames(clip, folder / IMAGES)
        return self.parts(clip)

    @contextmanager
    def gathered(self, folder: Path) -> Iterator[Callable[[Any], None]]:
        with json_parts(self.lists) as parts:
            yield parts.add
            head = {"split": "train"} if self.lists == burst.LISTS else _INFO
            parts.write(folder / ANNOTATIONS, head)


_INFO = {"info": {"description": "written by napari-amodal"}, "licenses": []}


@dataclass(frozen=True)
class _YoloTarget:
    """YOLO's labels need the classes of all clips."""

    put: yolo.YoloTarget

    def write(self, folder: Path, clip: DatasetClip) -> Any:
        return self.put(folder, clip)

    @contextmanager
    def gathered(self, folder: Path) -> Iterator[Callable[[Any], None]]:
        ids: dict[str, int] = {}

        def add(part: dict[str, Any]) -> None:
            for name, frames in part.items():
                yolo.write_labels(folder, name, frames, ids)

        yield add
        yolo.write_classes(folder, ids)
