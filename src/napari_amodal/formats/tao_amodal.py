"""TAO-Amodal: visible and amodal boxes of tracks, and how much of each is visible.

The layout is TAO's (``videos``, ``images``, ``tracks``, ``annotations``, ``categories``) with
``amodal_bbox``, ``amodal_is_uncertain`` and ``visibility`` (1 is wholly visible) in the annotations
(the dataset's own page describes it). There are no masks in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal.boxes import Box, box_of
from napari_amodal.errors import InputError
from napari_amodal.formats.coco import (
    LISTS,
    ClipFrames,
    TrackRecord,
    annotated_frames,
    clip_frames,
    track_objects,
    track_of,
    video_parts,
)
from napari_amodal.formats.coco_index import CocoIndex, Record, coco_index
from napari_amodal.formats.dataset import (
    ClipObject,
    Dataset,
    DatasetClip,
    box_as_xywh,
    box_from_xywh,
    checked_amount,
    hidden_share,
)
from napari_amodal.formats.frame_files import find_frames, roots_beside
from napari_amodal.formats.json_parts import Fragment
from napari_amodal.levels import FrameOcclusion, level_of

__all__ = ["LISTS", "open_tao_amodal", "tao_amodal_parts"]


@contextmanager
def open_tao_amodal(path: Path, images: Path | None = None) -> Iterator[Dataset]:
    """The clips of a TAO-Amodal file: boxes and amounts, no masks."""
    with coco_index(path) as index:
        yield Dataset(index.names, _TaoReader(index, roots_beside(path, images)))


@dataclass(frozen=True)
class _TaoReader:
    index: CocoIndex
    roots: tuple[Path, ...]

    def __call__(self, number: int) -> DatasetClip:
        name = self.index.names[number]
        records = self.index.records(number)
        frames = clip_frames(name, records, repr(name))
        objects = track_objects(records, self.index, name)
        for annotation in records.annotations:
            if annotation.get("image_id") is None:
                raise InputError(f"{name!r} has an annotation without image_id")
            track = track_of(objects, annotation, self.index, name, listed=bool(records.tracks))
            _add(track, annotation, frames)
        found = tuple(
            ClipObject(
                track.number,
                track.category,
                visible_boxes=track.visible_boxes,
                amodal_boxes=track.amodal_boxes,
                occlusion=track.occlusion,
            )
            for track in objects.values()
        )
        images = find_frames(self.roots, frames.names)
        return DatasetClip(name, frames.height, frames.width, frames.names, found, images)


def _add(track: TrackRecord, annotation: Record, frames: ClipFrames) -> None:
    frame = frames.frame_of(annotation)
    what = f"{frames.name!r}, object {track.number}, frame {frame}"
    track.enter(frame, repr(frames.name))
    for key, boxes in (("bbox", track.visible_boxes), ("amodal_bbox", track.amodal_boxes)):
        box = box_from_xywh(annotation.get(key), f"{what}, {key}")
        if box is not None:
            boxes[frame] = box
    if annotation.get("visibility") is not None:
        visibility = checked_amount(annotation["visibility"], f"{what}, visibility")
        amount = max(0.0, 1.0 - visibility)
        track.occlusion[frame] = FrameOcclusion(level_of(amount), amount)


def tao_amodal_parts(clip: DatasetClip) -> Fragment:
    """What one clip adds to a TAO-Amodal file."""
    parts = video_parts(clip)
    for video in parts["videos"]:  # TAO's evaluation looks them up
        video |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for track in parts["tracks"]:
        track.pop("napari_amodal", None)
    for track_id, found in enumerate(clip.objects, 1):
        for frame in annotated_frames(found):
            entry = _annotation(found, frame)
            if not entry:
                continue
            parts["annotations"].append(
                {
                    "id": len(parts["annotations"]) + 1,
                    "image_id": frame + 1,
                    "video_id": 1,
                    "track_id": track_id,
                    "category_id": found.category,
                    "iscrowd": 0,
                    **entry,
                    "amodal_is_uncertain": False,
                }
            )
    return parts


def _annotation(found: ClipObject, frame: int) -> dict[str, Any]:
    visible, amodal = boxes_of(found, frame)
    entry: dict[str, Any] = {}
    if visible is not None:
        entry |= {"bbox": box_as_xywh(visible), "area": visible.area}
    if amodal is not None:
        entry["amodal_bbox"] = box_as_xywh(amodal)
    amount = amount_of(found, frame)
    if amount is not None:
        entry["visibility"] = max(0.0, 1.0 - amount)
    return entry


def boxes_of(found: ClipObject, frame: int) -> tuple[Box | None, Box | None]:
    """The visible and the amodal box of an object in a frame."""
    visible, amodal = found.visible_boxes.get(frame), found.amodal_boxes.get(frame)
    if visible is None and frame in found.visible:
        visible = box_of(found.visible[frame])
    if amodal is None and frame in found.amodal:
        amodal = box_of(found.amodal[frame])
    return visible, amodal


def amount_of(found: ClipObject, frame: int) -> float | None:
    """The amount as it is given, or as the two masks have it; None where neither is there."""
    occlusion = found.occlusion.get(frame)
    if occlusion is not None and occlusion.amount is not None:
        return occlusion.amount
    if frame in found.visible and frame in found.amodal:
        return hidden_share(found.visible[frame], found.amodal[frame])
    return None
