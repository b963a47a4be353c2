"""COCO with run lengths: visible and amodal segmentations, boxes, occlusion; clips as videos.

``images``, ``annotations`` and ``categories`` are as pycocotools reads them; ``videos`` (with
``file_names`` and ``length``) and ``video_id`` are as in YouTube-VIS, ``tracks`` as in TAO. An
annotation is one object in one image: ``segmentation``, ``bbox`` and ``area`` are the visible part,
``amodal_segmentation``, ``amodal_bbox`` and ``amodal_area`` the whole, ``occlusion_level`` and
``occlusion_amount`` as in TABE-51. Files of YouTube-VIS itself, with one annotation a video, are
read, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_amodal.boxes import Box, box_of
from napari_amodal.errors import InputError
from napari_amodal.formats.coco_index import ClipRecords, CocoIndex, Record, coco_index
from napari_amodal.formats.dataset import (
    DEFAULT_CATEGORY,
    MOST_FRAMES,
    ClipObject,
    Dataset,
    DatasetClip,
    box_as_xywh,
    box_from_xywh,
    checked_id,
    checked_name,
    checked_occlusion,
    checked_size,
    short,
)
from napari_amodal.formats.frame_files import find_frames, roots_beside
from napari_amodal.formats.json_parts import Fragment
from napari_amodal.formats.rle import Segmentations, decode_segmentation, rle_of
from napari_amodal.levels import FrameOcclusion
from napari_amodal.masks import Mask

LISTS = ("videos", "images", "tracks", "annotations")


@contextmanager
def open_coco(path: Path, images: Path | None = None) -> Iterator[Dataset]:
    """The clips of a COCO file; an image without a video is a clip of one frame.

    Parameters
    ----------
    path : pathlib.Path
    images : pathlib.Path, optional
        The folder that ``file_name`` starts from; by default ``images/``, ``frames/``,
        ``JPEGImages/`` or nothing beside the file.
    """
    with coco_index(path) as index:
        yield Dataset(index.names, _CocoReader(index, roots_beside(path, images)))


@dataclass(frozen=True)
class ClipFrames:
    """The frames of a clip as a file of COCO's kind lists them."""

    name: str
    height: int
    width: int
    names: tuple[str, ...]
    by_image: Mapping[int, int]

    def frame_of(self, annotation: Record) -> int:
        image = annotation.get("image_id")
        assert isinstance(image, int)
        return self.by_image[image]


def clip_frames(name: str, records: ClipRecords, what: str) -> ClipFrames:
    """The frames of a clip, in the order of their frame index, else of their ids."""
    images = sorted(records.images, key=_frame_order)
    video = records.video
    listed = video.get("file_names") if video is not None else None
    if not images and not isinstance(listed, list):
        raise InputError(f"{what} has no frames: list its images")
    owner = video if video is not None and "height" in video else (images or [{}])[0]
    size = checked_size(owner.get("height"), owner.get("width"), what)
    for image in images:
        if checked_size(image.get("height"), image.get("width"), what) != size:
            raise InputError(f"{what} has images of several sizes: a clip has one")
    names = [image.get("file_name") for image in images] if images else listed
    assert names is not None
    if not 1 <= len(names) <= MOST_FRAMES:
        raise InputError(f"{what} has {len(names)} frames")
    checked = tuple(checked_name(found, f"a frame of {what}") for found in names)
    if len(set(checked)) != len(checked):
        raise InputError(f"{what} has two frames of the same file_name")
    by_image = {image["id"]: at for at, image in enumerate(images)}
    return ClipFrames(name, *size, checked, by_image)


def _frame_order(image: Record) -> tuple[int, int]:
    for key in ("frame_id", "frame_index"):
        if key in image:
            return checked_id(image[key], f"{key} of an image"), image["id"]
    return 0, image["id"]


@dataclass(frozen=True)
class _CocoReader:
    index: CocoIndex
    roots: tuple[Path, ...]

    def __call__(self, number: int) -> DatasetClip:
        name = self.index.names[number]
        records = self.index.records(number)
        frames = clip_frames(name, records, repr(name))
        objects = track_objects(records, self.index, frames.name)
        for annotation in records.annotations:
            track = track_of(objects, annotation, self.index, name, listed=bool(records.tracks))
            _add(track, annotation, frames)
        return DatasetClip(
            name,
            frames.height,
            frames.width,
            frames.names,
            tuple(_finished(found, frames) for found in objects.values()),
            find_frames(self.roots, frames.names),
        )


@dataclass
class TrackRecord:
    """What is gathered of one object while its annotations are gone through."""

    number: int
    category: str
    origin: Mapping[str, Any] | None = None
    visible: dict[int, object] = field(default_factory=dict)
    amodal: dict[int, object] = field(default_factory=dict)
    visible_boxes: dict[int, Box] = field(default_factory=dict)
    amodal_boxes: dict[int, Box] = field(default_factory=dict)
    occlusion: dict[int, FrameOcclusion] = field(default_factory=dict)
    frames: set[int] = field(default_factory=set)

    def enter(self, frame: int, what: str) -> None:
        if frame in self.frames:
            raise InputError(f"{what}, object {self.number}, is annotated twice in frame {frame}")
        self.frames.add(frame)


def track_objects(records: ClipRecords, index: CocoIndex, name: str) -> dict[int, TrackRecord]:
    """The objects that ``tracks`` lists, by track id."""
    found: dict[int, TrackRecord] = {}
    numbers: set[int] = set()
    for at, track in enumerate(records.tracks, 1):
        number = checked_id(track.get("object_number", at), f"{name!r}, object_number")
        if number < 1 or number in numbers:
            raise InputError(f"{name!r} has the object number {number} twice, or it is below 1")
        numbers.add(number)
        origin = track.get("napari_amodal")
        if isinstance(origin, dict) and not _is_finite(origin):
            raise InputError(f"{name!r}, track {track['id']}, has a number that is too large")
        found[track["id"]] = TrackRecord(
            number,
            category_name(track, index, f"{name!r}, track {track['id']}"),
            origin if isinstance(origin, dict) else None,
        )
    return found


def _is_finite(origin: dict[str, Any]) -> bool:
    try:
        json.dumps(origin, allow_nan=False)
    except ValueError:
        return False
    return True


def category_name(record: Record, index: CocoIndex, what: str) -> str:
    """The name of the category that a record refers to."""
    key = record.get("category_id")
    if key is None:
        return DEFAULT_CATEGORY
    key = checked_id(key, f"{what}, category_id")
    if key not in index.categories:
        raise InputError(f"{what} has the category_id {key}, and no such category is listed")
    return index.categories[key]


def track_of(
    objects: dict[int, TrackRecord],
    annotation: Record,
    index: CocoIndex,
    name: str,
    *,
    listed: bool,
) -> TrackRecord:
    """The object of an annotation; one that names no track is an object of its own.

    `listed` says whether the clip's tracks are listed, so that no other ones may come up.
    """
    key = annotation.get("track_id", annotation.get("instance_id"))
    if key is None:
        key = -1 - len(objects)
    key = checked_id(key, f"{name!r}, track_id")
    if key not in objects:
        if listed:
            raise InputError(f"{name!r} has an annotation of track_id {key}, which is not listed")
        category = category_name(annotation, index, f"{name!r}, an annotation")
        objects[key] = TrackRecord(len(objects) + 1, category)
    return objects[key]


def _add(track: TrackRecord, annotation: Record, frames: ClipFrames) -> None:
    if annotation.get("image_id") is None:
        _add_whole_video(track, annotation, frames)
        return
    frame = frames.frame_of(annotation)
    what = f"{frames.name!r}, object {track.number}, frame {frame}"
    track.enter(frame, repr(frames.name))
    visible, amodal = annotation.get("segmentation"), annotation.get("amodal_segmentation")
    box = box_from_xywh(annotation.get("bbox"), f"{what}, bbox")
    whole = box_from_xywh(annotation.get("amodal_bbox"), f"{what}, amodal_bbox")
    if visible is not None:
        track.visible[frame] = visible
    elif box is not None:
        track.visible_boxes[frame] = box
    if amodal is not None:
        track.amodal[frame] = amodal
    if whole is not None:
        track.amodal_boxes[frame] = whole
    occlusion = checked_occlusion(
        annotation.get("occlusion_level"), annotation.get("occlusion_amount"), what
    )
    if occlusion is not None:
        track.occlusion[frame] = occlusion


def _add_whole_video(track: TrackRecord, annotation: Record, frames: ClipFrames) -> None:
    """An annotation of YouTube-VIS: lists with an entry a frame."""
    found = annotation.get("segmentations")
    if not isinstance(found, list) or len(found) != len(frames.names):
        raise InputError(
            f"{frames.name!r} has an annotation whose segmentations are not one a frame: "
            f"{short(found)}"
        )
    for frame, segmentation in enumerate(found):
        if segmentation is not None:
            track.enter(frame, repr(frames.name))
            track.visible[frame] = segmentation


def _finished(track: TrackRecord, frames: ClipFrames) -> ClipObject:
    what = f"{frames.name!r}, object {track.number}"
    size = frames.height, frames.width
    boxes = {
        frame: box
        for frame, box in track.amodal_boxes.items()
        if frame not in track.amodal
        or box_of(decode_segmentation(track.amodal[frame], *size, what)) != box
    }
    return ClipObject(
        track.number,
        track.category,
        Segmentations(track.visible, *size, f"{what}, visible"),
        Segmentations(track.amodal, *size, f"{what}, amodal"),
        track.visible_boxes,
        boxes,
        track.occlusion,
        track.origin,
    )


def video_parts(clip: DatasetClip) -> dict[str, list[dict[str, Any]]]:
    """The entries of ``videos``, ``images`` and ``tracks`` for one clip."""
    size = {"width": clip.width, "height": clip.height}
    return {
        "videos": [
            {
                "id": 1,
                "name": clip.name,
                **size,
                "length": len(clip),
                "file_names": list(clip.frame_names),
            }
        ],
        "images": [
            {"id": at + 1, "file_name": name, **size, "video_id": 1, "frame_id": at}
            | {"frame_index": at}
            for at, name in enumerate(clip.frame_names)
        ],
        "tracks": [
            {"id": at, "category_id": found.category, "video_id": 1, "object_number": found.number}
            | ({"napari_amodal": dict(found.origin)} if found.origin is not None else {})
            for at, found in enumerate(clip.objects, 1)
        ],
        "annotations": [],
    }


def annotated_frames(found: ClipObject) -> list[int]:
    """The frames of which anything is known of an object."""
    parts = (found.visible, found.amodal, found.visible_boxes, found.amodal_boxes, found.occlusion)
    return sorted({frame for part in parts for frame in part})


def coco_parts(clip: DatasetClip) -> Fragment:
    """What one clip adds to a COCO file."""
    parts = video_parts(clip)
    for track, found in enumerate(clip.objects, 1):
        for frame in annotated_frames(found):
            entry = {
                "id": len(parts["annotations"]) + 1,
                "image_id": frame + 1,
                "video_id": 1,
                "track_id": track,
                "category_id": found.category,
                "iscrowd": 0,
            }
            parts["annotations"].append(entry | _annotation(found, frame))
    return parts


def _annotation(found: ClipObject, frame: int) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    visible, amodal = found.visible.get(frame), found.amodal.get(frame)
    if visible is not None:
        entry |= _masked("", visible, None)
    elif frame in found.visible_boxes:
        entry["bbox"] = box_as_xywh(found.visible_boxes[frame])
    whole = found.amodal_boxes.get(frame)
    if amodal is not None:
        entry |= _masked("amodal_", amodal, whole)
    elif whole is not None:
        entry["amodal_bbox"] = box_as_xywh(whole)
    if frame in found.occlusion:
        entry["occlusion_level"] = found.occlusion[frame].level.name
        entry["occlusion_amount"] = found.occlusion[frame].amount
    return entry


def _masked(prefix: str, mask: Mask, box: Box | None) -> dict[str, Any]:
    return {
        f"{prefix}segmentation": rle_of(mask),
        f"{prefix}area": int(mask.sum()),
        f"{prefix}bbox": box_as_xywh(box or box_of(mask)),
    }
