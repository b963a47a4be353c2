"""COCOA: amodal regions of images, as of "Semantic Amodal Segmentation" (Zhu et al., CVPR 2017).

An annotation is one image; its ``regions`` are the objects, in the order of their depth:
``segmentation`` (the whole object, one polygon), ``visible_mask`` and ``invisible_mask`` (run
lengths), ``occlude_rate``, ``name``, ``area``, ``isStuff``, ``order``. A region without
``visible_mask`` is not occluded.

We write both masks always, so that the masks are exact, and the outline of the largest part as the
polygon. ``track_id`` says which region of another frame is the same object; ``videos`` and
``video_id`` are as in YouTube-VIS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from napari_amodal.errors import InputError
from napari_amodal.formats.coco import ClipFrames, clip_frames, video_parts
from napari_amodal.formats.coco_index import CocoIndex, coco_index
from napari_amodal.formats.dataset import (
    DEFAULT_CATEGORY,
    ClipObject,
    Dataset,
    DatasetClip,
    checked_amount,
    checked_id,
    hidden_share,
    short,
)
from napari_amodal.formats.frame_files import find_frames, roots_beside
from napari_amodal.formats.json_parts import Fragment
from napari_amodal.formats.rle import decode_segmentation, rle_of
from napari_amodal.levels import FrameOcclusion, level_of
from napari_amodal.masks import Mask

LISTS = ("videos", "images", "annotations")


@contextmanager
def open_cocoa(path: Path, images: Path | None = None) -> Iterator[Dataset]:
    """The clips of a COCOA file; an image without a video is a clip of one frame."""
    with coco_index(path) as index:
        yield Dataset(index.names, _CocoaReader(index, roots_beside(path, images)))


@dataclass
class _Regions:
    """The regions of one object by frame."""

    category: str
    regions: dict[int, dict[str, Any]] = field(default_factory=dict)


class _RegionMasks(Mapping[int, Mask]):
    """Visible or amodal masks of regions, decoded when they are looked up."""

    def __init__(
        self, regions: Mapping[int, dict[str, Any]], frames: ClipFrames, what: str, whole: bool
    ) -> None:
        self._regions = regions
        self._size = frames.height, frames.width
        self._what = what
        self._whole = whole

    def __getitem__(self, frame: int) -> Mask:
        region = self._regions[frame]
        what = f"{self._what}, frame {frame},"
        seen = region.get("visible_mask")
        if seen is None or (self._whole and region.get("invisible_mask") is None):
            return decode_segmentation(region.get("segmentation"), *self._size, what)
        visible = decode_segmentation(seen, *self._size, what)
        if not self._whole:
            return visible
        return visible | decode_segmentation(region["invisible_mask"], *self._size, what)

    def __iter__(self) -> Iterator[int]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)


@dataclass(frozen=True)
class _CocoaReader:
    index: CocoIndex
    roots: tuple[Path, ...]

    def __call__(self, number: int) -> DatasetClip:
        name = self.index.names[number]
        records = self.index.records(number)
        frames = clip_frames(name, records, repr(name))
        objects: dict[int, _Regions] = {}
        for annotation in records.annotations:
            if annotation.get("image_id") is None:
                raise InputError(f"{name!r} has an annotation without image_id")
            frame = frames.frame_of(annotation)
            regions = annotation.get("regions")
            if not isinstance(regions, list):
                raise InputError(f"{name!r}, frame {frame}, has no list of regions")
            for at, region in enumerate(regions, 1):
                _add(objects, region, at, frame, f"{name!r}, frame {frame}, region {at}")
        return DatasetClip(
            name,
            frames.height,
            frames.width,
            frames.names,
            tuple(_finished(key, found, frames) for key, found in sorted(objects.items())),
            find_frames(self.roots, frames.names),
        )


def _add(objects: dict[int, _Regions], region: object, at: int, frame: int, what: str) -> None:
    if not isinstance(region, dict):
        raise InputError(f"{what} is {short(region)}, no JSON object")
    number = checked_id(region.get("track_id", at), f"{what}, track_id")
    name = region.get("name", DEFAULT_CATEGORY)
    if number < 1 or not isinstance(name, str):
        raise InputError(f"{what} has a track_id below 1 or a name that is no text")
    checked_amount(region.get("occlude_rate", 0.0), what)
    found = objects.setdefault(number, _Regions(name))
    if frame in found.regions:
        raise InputError(f"{what} is object {number}, which another region is, too")
    found.regions[frame] = region


def _finished(number: int, found: _Regions, frames: ClipFrames) -> ClipObject:
    what = f"{frames.name!r}, object {number}"
    rates = {
        frame: float(region["occlude_rate"])
        for frame, region in found.regions.items()
        if "occlude_rate" in region
    }
    return ClipObject(
        number,
        found.category,
        _RegionMasks(found.regions, frames, what, whole=False),
        _RegionMasks(found.regions, frames, what, whole=True),
        occlusion={frame: FrameOcclusion(level_of(rate), rate) for frame, rate in rates.items()},
    )


def cocoa_parts(clip: DatasetClip) -> Fragment:
    """What one clip adds to a COCOA file: the frames of which both masks are known."""
    parts = video_parts(clip)
    del parts["tracks"]
    for frame in range(len(clip)):
        regions = [
            _region(found, frame, order)
            for order, found in enumerate(clip.objects, 1)
            if frame in found.visible and frame in found.amodal
        ]
        if not regions:
            continue
        parts["annotations"].append(
            {
                "id": len(parts["annotations"]) + 1,
                "image_id": frame + 1,
                "video_id": 1,
                "author": "napari-amodal",
                "depth_constraint": "",
                "size": len(regions),
                "url": "",
                "regions": regions,
            }
        )
    return parts


def _region(found: ClipObject, frame: int, order: int) -> dict[str, Any]:
    visible = found.visible[frame]
    whole = found.amodal[frame] | visible
    occlusion = found.occlusion.get(frame)
    amount = None if occlusion is None else occlusion.amount
    return {
        "name": found.category,
        "track_id": found.number,
        "order": order,
        "isStuff": 0,
        "area": int(whole.sum()),
        "occlude_rate": hidden_share(visible, whole) if amount is None else amount,
        "segmentation": _outline(whole),
        "visible_mask": rle_of(visible),
        "invisible_mask": rle_of(whole & ~visible),
    }


def _outline(mask: Mask) -> list[float]:
    """The outline of the largest part of a mask, ``[x, y, x, y, ...]``; empty without one."""
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons = [contour for contour in contours if len(contour) >= 3]
    if not polygons:
        return []
    return [float(place) for place in max(polygons, key=cv2.contourArea).ravel()]
