"""BURST: masks of tracks in videos, one kind (visible ones, as it is published).

The layout is that of the benchmark's ANNOTATION_FORMAT.md: ``sequences`` with
``annotated_image_paths``, ``track_category_ids`` and ``segmentations``, one object a frame from
track to ``rle`` (text; the size is the sequence's).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import (
    DEFAULT_CATEGORY,
    MOST_FRAMES,
    ClipObject,
    Dataset,
    DatasetClip,
    checked_id,
    checked_name,
    checked_size,
    object_of,
    short,
)
from napari_amodal.formats.format_table import MaskKind
from napari_amodal.formats.frame_files import find_frames, roots_beside
from napari_amodal.formats.images import shown
from napari_amodal.formats.json_items import json_items
from napari_amodal.formats.json_parts import Fragment
from napari_amodal.formats.rle import Segmentations, encode_mask

LISTS = ("sequences",)


@contextmanager
def open_burst(
    path: Path, images: Path | None = None, kind: MaskKind = MaskKind.VISIBLE
) -> Iterator[Dataset]:
    """The sequences of a BURST file; each is put into a file of its own while it is open."""
    names: list[str] = []
    categories: dict[int, str] = {}
    with tempfile.TemporaryDirectory(prefix="napari-amodal-") as folder:
        for item in json_items(path):
            what = f"{shown(path)}, {item.key}[{len(names)}]"
            if item.key not in ("sequences", "categories"):
                continue
            if not isinstance(item.value, dict):
                raise InputError(f"{what} is {short(item.value)}, no JSON object")
            if item.key == "categories":
                _add_category(categories, item.value, what)
                continue
            text = item.text.encode(errors="surrogatepass")
            (Path(folder) / f"{len(names)}.json").write_bytes(text)
            names.append(_name(item.value, what))
        read = _BurstReader(
            Path(folder), tuple(names), categories, roots_beside(path, images), kind
        )
        yield Dataset(tuple(names), read)


def _add_category(categories: dict[int, str], value: dict[str, Any], what: str) -> None:
    key, name = checked_id(value.get("id"), f"{what}, id"), value.get("name")
    if key in categories or not isinstance(name, str):
        raise InputError(f"{what} has the id of another category, or no name")
    categories[key] = name


def _name(sequence: dict[str, Any], what: str) -> str:
    name = checked_name(sequence.get("seq_name"), what)
    dataset = sequence.get("dataset")
    return checked_name(f"{dataset}/{name}", what) if dataset else name


@dataclass(frozen=True)
class _BurstReader:
    folder: Path
    names: tuple[str, ...]
    categories: dict[int, str]
    roots: tuple[Path, ...]
    kind: MaskKind

    def __call__(self, number: int) -> DatasetClip:
        name = self.names[number]
        text = (self.folder / f"{number}.json").read_bytes().decode(errors="surrogatepass")
        sequence = json.loads(text)
        size = checked_size(sequence.get("height"), sequence.get("width"), repr(name))
        files = sequence.get("annotated_image_paths")
        if not isinstance(files, list) or not 1 <= len(files) <= MOST_FRAMES:
            raise InputError(f"{name!r} has no list of annotated_image_paths")
        frames = tuple(
            checked_name(f"{name}/{checked_name(file, f'a frame of {name!r}')}", repr(name))
            for file in files
        )
        if len(set(frames)) != len(frames):
            raise InputError(f"{name!r} has two frames of the same name")
        objects = self._objects(name, sequence, size, len(frames))
        return DatasetClip(name, *size, frames, objects, find_frames(self.roots, frames))

    def _objects(
        self, name: str, sequence: dict[str, Any], size: tuple[int, int], count: int
    ) -> tuple[ClipObject, ...]:
        tracks = sequence.get("track_category_ids", {})
        frames = sequence.get("segmentations")
        if not isinstance(frames, list) or len(frames) != count or not isinstance(tracks, dict):
            raise InputError(
                f"{name!r} has no track_category_ids, or its segmentations are not one a frame"
            )
        masks: dict[int, dict[int, object]] = {_track(key, name): {} for key in tracks}
        for frame, found in enumerate(frames):
            if not isinstance(found, dict):
                raise InputError(f"{name!r}, frame {frame}, is {short(found)}, no JSON object")
            for key, entry in found.items():
                track = _track(key, name)
                if not isinstance(entry, dict) or track not in masks:
                    raise InputError(
                        f"{name!r}, frame {frame}, has the track {short(key)}, which "
                        "track_category_ids lacks, or which is no JSON object"
                    )
                if not isinstance(entry.get("rle"), str):
                    raise InputError(f"{name!r}, frame {frame}, track {track}, has no rle")
                masks[track][frame] = entry["rle"]
        return tuple(
            object_of(
                self.kind,
                track,
                self._category(tracks[str(track)], name),
                Segmentations(masks[track], *size, f"{name!r}, object {track}"),
            )
            for track in sorted(masks)
        )

    def _category(self, key: object, name: str) -> str:
        number = checked_id(key, f"{name!r}, a category id")
        # Files of predictions may name classes without listing them.
        return self.categories.get(number, DEFAULT_CATEGORY)


def _track(key: str, name: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,17}", key) is None:
        raise InputError(f"{name!r} has the track {short(key)}: tracks are numbers from 1 on")
    return int(key)


def burst_parts(kind: MaskKind, clip: DatasetClip) -> Fragment:
    """What one clip adds to a BURST file: the masks of one kind."""
    prefix = f"{clip.name}/"
    names = [
        name.removeprefix(prefix) if name.startswith(prefix) else name.rpartition("/")[2]
        for name in clip.frame_names
    ]
    dataset, _, name = clip.name.rpartition("/")
    segmentations = [
        {
            str(found.number): {"rle": encode_mask(found.masks(kind)[frame]), "is_gt": True}
            for found in clip.objects
            if frame in found.masks(kind)
        }
        for frame in range(len(clip))
    ]
    sequence = {
        "id": 1,
        "width": clip.width,
        "height": clip.height,
        "seq_name": name,
        "dataset": dataset,
        "all_image_paths": names,
        "annotated_image_paths": names,
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
        "track_category_ids": {str(found.number): found.category for found in clip.objects},
        "segmentations": segmentations,
    }
    return {"sequences": [sequence]}
