"""The formats of datasets: telling them apart, opening and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats import burst, coco, cocoa, tao_amodal, yolo
from napari_amodal.formats.dataset import Dataset, DatasetClip
from napari_amodal.formats.davis import DavisTarget, is_davis, open_davis
from napari_amodal.formats.format_table import DatasetFormat, MaskKind
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
