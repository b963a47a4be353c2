"""YOLO segmentation, out only: one text file a frame, a polygon an object, in shares of the frame.

``images/train/NAME_00000.jpg``, ``labels/train/NAME_00000.txt`` with lines ``class x y x y ...``,
and ``data.yaml`` (Ultralytics' documentation, "Instance Segmentation Datasets").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.formats.dataset import DatasetClip
from napari_amodal.formats.format_table import MaskKind
from napari_amodal.formats.frame_files import put_frame
from napari_amodal.masks import Mask

SPLIT = "train"


@dataclass(frozen=True)
class YoloTarget:
    """Writes clips as YOLO segmentation labels; the classes are written by name at first.

    Attributes
    ----------
    kind : MaskKind
        Which masks the polygons go round.
    with_frames : bool
    """

    kind: MaskKind
    with_frames: bool

    def __call__(self, folder: Path, clip: DatasetClip) -> dict[str, list[list[list[object]]]]:
        """Write the frames of one clip; its labels, ``[class, x, y, ...]`` by file and frame."""
        for at, image in enumerate(clip.images or ()):
            if self.with_frames:
                suffix = ".png" if image.suffix.lower() == ".png" else ".jpg"
                name = f"{clip.folder_name}_{at:05d}{suffix}"
                put_frame(clip, image, folder / "images" / SPLIT / name)
        return {clip.folder_name: [self._rows(clip, frame) for frame in range(len(clip))]}

    def _rows(self, clip: DatasetClip, frame: int) -> list[list[object]]:
        rows: list[list[object]] = []
        for found in clip.objects:
            masks = found.masks(self.kind)
            polygon = outline(masks[frame]) if frame in masks else None
            if polygon is not None:
                shares = polygon / (clip.width, clip.height)
                rows.append([found.category, *(round(float(share), 6) for share in shares.ravel())])
        return rows


def outline(mask: Mask) -> NDArray[np.float64] | None:
    """The outline of a mask as one polygon ``(N, 2)`` of x and y; None for an empty mask.

    Parts that do not touch are joined by a line there and back, between the points that are
    nearest to each other, as one row holds one polygon. Holes are lost. Points are the middles of
    pixels, half a pixel inside their edges.
    """
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    parts = sorted(
        (_closed(contour[:, 0, :].astype(np.float64) + 0.5) for contour in contours),
        key=len,
        reverse=True,
    )
    if not parts:
        return None
    joined = parts[0]
    for part in parts[1:]:
        joined = _bridged(joined, part)
    return joined


def _closed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """At least three points, as a polygon needs."""
    return points if len(points) >= 3 else np.concatenate([points, points[:1], points[:1]])[:3]


def _bridged(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    few, other = first[:: len(first) // 500 + 1], second[:: len(second) // 500 + 1]
    away = ((few[:, None] - other[None]) ** 2).sum(axis=2)
    at, to = np.unravel_index(int(away.argmin()), away.shape)
    at, to = at * (len(first) // 500 + 1), to * (len(second) // 500 + 1)
    turned = np.roll(second, -to, axis=0)
    return np.concatenate([first[: at + 1], turned, turned[:1], first[at:]])


def write_labels(
    folder: Path, name: str, frames: list[list[list[object]]], ids: dict[str, int]
) -> None:
    """Write the labels of one clip; `ids` are the classes, and grow by those that are new."""
    labels = folder / "labels" / SPLIT
    labels.mkdir(parents=True, exist_ok=True)
    for at, rows in enumerate(frames):
        lines = []
        for category, *places in rows:
            assert isinstance(category, str)
            number = ids.setdefault(category, len(ids))
            lines.append(" ".join([str(number), *map(str, places)]) + "\n")
        (labels / f"{name}_{at:05d}.txt").write_text("".join(lines), "utf-8")


def write_classes(folder: Path, ids: dict[str, int]) -> None:
    """Write ``data.yaml``."""
    lines = [f"path: .\ntrain: images/{SPLIT}\nval: images/{SPLIT}\nnames:\n"]
    # JSON's strings are YAML's, too.
    lines += [f"  {number}: {json.dumps(name)}\n" for name, number in ids.items()]
    (folder / "data.yaml").write_text("".join(lines), "utf-8")
