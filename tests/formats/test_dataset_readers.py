"""What is written, read by the formats' own readers."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from datasets import as_dataset, read_all, with_frames, write
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from test_dataset_formats import small

from napari_amodal.boxes import box_of
from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import ClipObject, DatasetClip
from napari_amodal.formats.davis import palette
from napari_amodal.formats.format_table import DatasetFormat, MaskKind
from napari_amodal.formats.rle import decode_runs, decode_segmentation, encode_mask
from napari_amodal.formats.yolo import outline
from napari_amodal.masks import iou


@pytest.fixture
def clip(tmp_path: Path) -> DatasetClip:
    return with_frames(small("train/car", objects=2), tmp_path / "root")


def written(clip: DatasetClip, fmt: DatasetFormat, out: Path) -> dict[str, Any]:
    write(as_dataset((clip,)), fmt, out)
    found: dict[str, Any] = json.loads((out / "annotations.json").read_text())
    return found


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    text = encode_mask(mask)
    rle = {"size": list(mask.shape), "counts": text}
    assert (decode_runs(text, *mask.shape, "it") == coco_mask.decode(rle)).all()
    assert (decode_runs(text, *mask.shape, "it") == mask).all()
    runs = np.diff(np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=~mask[0, 0], append=2)))
    counts = [int(run) for run in runs]
    counts = [0, *counts] if mask[0, 0] else counts
    assert (decode_segmentation(rle | {"counts": counts}, *mask.shape, "it") == mask).all()


@given(st.text(max_size=12) | st.binary(max_size=12).map(lambda data: data.decode("latin-1")))
def test_broken_run_lengths_are_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        mask = decode_runs(text, 5, 7, "it")
        assert encode_mask(mask) is not None  # it was one after all


def test_coco_is_read_by_pycocotools(tmp_path: Path, clip: DatasetClip) -> None:
    write(as_dataset((clip,)), DatasetFormat.COCO, tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO(str(tmp_path / "out" / "annotations.json"))
    for at, image in enumerate(found.loadImgs(found.getImgIds())):
        with Image.open(tmp_path / "out" / "images" / image["file_name"]) as frame:
            assert frame.size == (clip.width, clip.height)
        annotations = found.loadAnns(found.getAnnIds(imgIds=[image["id"]]))
        for one, annotation in zip(clip.objects, annotations, strict=True):
            assert (found.annToMask(annotation) == one.visible[at]).all()
            whole = annotation["amodal_segmentation"]
            assert (coco_mask.decode(whole) == one.amodal[at]).all()
            assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
            assert annotation["amodal_bbox"] == coco_mask.toBbox(whole).tolist()
            assert annotation["area"] == coco_mask.area(annotation["segmentation"])
            assert annotation["occlusion_amount"] == 0.25
    (video,) = found.dataset["videos"]
    assert video["file_names"] == list(clip.frame_names)
    assert video["length"] == 3
    assert {annotation["video_id"] for annotation in found.dataset["annotations"]} == {video["id"]}


def test_files_of_youtube_vis_are_read(tmp_path: Path, clip: DatasetClip) -> None:
    one = clip.objects[0]
    rle = {"size": [12, 16], "counts": encode_mask(one.visible[0])}
    square = [[2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0]]
    video = {"id": 7, "width": 16, "height": 12, "length": 3, "file_names": list(clip.frame_names)}
    annotation = {"id": 1, "video_id": 7, "category_id": 4, "iscrowd": 0}
    data = {
        "videos": [video],
        "annotations": [annotation | {"segmentations": [rle, None, square]}],
        "categories": [{"id": 4, "name": "giraffe"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    (found,) = read_all(path, DatasetFormat.COCO, tmp_path / "root").values()
    assert (found.name, found.images) == ("train/car", clip.images)
    (giraffe,) = found.objects
    assert giraffe.category == "giraffe"
    assert set(giraffe.visible) == {0, 2}
    assert (giraffe.visible[0] == one.visible[0]).all()
    assert giraffe.visible[2].sum() == 16


def test_images_without_a_video_are_clips_of_one_frame(tmp_path: Path) -> None:
    data = {
        "images": [
            {"id": n, "file_name": f"{n:012d}.jpg", "width": 9, "height": 8} for n in (3, 9)
        ],
        "annotations": [
            {"id": n, "image_id": 9, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]]}
            for n in (1, 2)
        ],
        "categories": [{"id": 1, "name": "dog"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    found = read_all(path, DatasetFormat.COCO, None)
    assert list(found) == ["000000000003", "000000000009"]
    assert [one.number for one in found["000000000009"].objects] == [1, 2]


def test_cocoa_has_the_keys_of_the_published_files(tmp_path: Path, clip: DatasetClip) -> None:
    data = written(clip, DatasetFormat.COCOA, tmp_path / "out")
    region = data["annotations"][0]["regions"][0]
    one = clip.objects[0]
    assert (coco_mask.decode(region["visible_mask"]) == one.visible[0]).all()
    hidden = coco_mask.decode(region["invisible_mask"])
    assert (hidden == one.amodal[0] & ~one.visible[0]).all()
    assert region["occlude_rate"] == 0.25
    assert {"name", "order", "isStuff", "area", "segmentation"} <= region.keys()


def test_a_published_cocoa_region_is_read(tmp_path: Path) -> None:
    visible = np.zeros((20, 20), np.bool_)
    visible[4:8, 4:12] = True
    square = [4, 4, 12, 4, 12, 12, 4, 12]
    common = {"name": "cat", "isStuff": 0, "area": 64}
    seen = common | {"order": 1, "occlude_rate": 0.0, "segmentation": square}
    rle = {"size": [20, 20], "counts": encode_mask(visible)}
    hidden = common | {"order": 2, "occlude_rate": 0.5, "segmentation": square}
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 20}],
        "annotations": [
            {"id": 5, "image_id": 1, "regions": [seen, hidden | {"visible_mask": rle}]}
        ],
    }
    path = tmp_path / "COCO_amodal_val2014.json"
    path.write_text(json.dumps(data))
    (found,) = read_all(path, DatasetFormat.COCOA, None).values()
    first, second = found.objects
    assert (first.visible[0] == first.amodal[0]).all()
    assert (second.visible[0] == visible).all()
    assert second.amodal[0].sum() == 64
    assert second.occlusion[0].amount == 0.5


def test_tao_amodal_has_the_published_keys(tmp_path: Path, clip: DatasetClip) -> None:
    data = written(clip, DatasetFormat.TAO_AMODAL, tmp_path / "out")
    entry, one = data["annotations"][0], clip.objects[0]
    box = box_of(one.amodal[0])
    assert box is not None
    assert entry["amodal_bbox"] == [box.x0, box.y0, box.width, box.height]
    assert entry["visibility"] == 0.75
    assert entry["amodal_is_uncertain"] is False
    assert {"image_id", "track_id", "video_id", "category_id", "bbox", "area"} <= entry.keys()
    assert data["tracks"][1] == {"id": 2, "category_id": 1, "video_id": 1, "object_number": 2}
    assert data["images"][2]["frame_index"] == 2
    # TrackEval, TAO's own evaluation, looks these up.
    assert data["videos"][0]["neg_category_ids"] == []
    assert data["videos"][0]["not_exhaustive_category_ids"] == []


def test_burst_is_read_as_its_page_says(tmp_path: Path, clip: DatasetClip) -> None:
    data = written(clip, DatasetFormat.BURST, tmp_path / "out")
    (sequence,) = data["sequences"]
    assert (sequence["dataset"], sequence["seq_name"]) == ("train", "car")
    assert sequence["annotated_image_paths"] == ["00000.png", "00001.png", "00002.png"]
    for frame, tracks in enumerate(sequence["segmentations"]):
        for track, entry in tracks.items():
            rle = {"size": [sequence["height"], sequence["width"]], "counts": entry["rle"]}
            mask = clip.objects[int(track) - 1].visible[frame]
            assert (coco_mask.decode(rle) == mask).all()


def test_davis_masks_are_palette_images(tmp_path: Path) -> None:
    clip = with_frames(apart(), tmp_path / "root")
    write(as_dataset((clip,)), DatasetFormat.DAVIS, tmp_path / "out")
    path = tmp_path / "out" / "Annotations" / "Full-Resolution" / "car" / "00000.png"
    with Image.open(path) as image:
        assert image.mode == "P"
        indices, colours = np.asarray(image), image.convert("RGB")
    assert set(np.unique(indices)) == {0, 1, 7}
    assert colours.getpixel((0, 0)) == (0, 0, 0)
    assert colours.getpixel((2, 2)) == (128, 0, 0)
    assert colours.getpixel((10, 2)) == (128, 128, 128)
    # The first and the last colours of the palette that DAVIS' own files carry.
    assert palette()[[2, 3, 8, 255]].tolist() == [
        [0, 128, 0],
        [128, 128, 0],
        [64, 0, 0],
        [224, 224, 192],
    ]


def apart() -> DatasetClip:
    """Two objects that do not overlap, 1 and 7."""
    masks = np.zeros((2, 12, 16), np.bool_)
    masks[0, 1:5, 1:6] = True
    masks[1, 1:5, 9:13] = True
    objects = tuple(
        ClipObject(number, visible={0: mask, 1: mask}, amodal={0: mask, 1: mask})
        for number, mask in zip((1, 7), masks, strict=True)
    )
    return DatasetClip("car", 12, 16, ("car/0.png", "car/1.png"), objects)


def test_label_stacks_have_the_metadata_of_imagej_and_ome(tmp_path: Path) -> None:
    clip = apart()
    expected = np.array([one.visible[0] * one.number for one in clip.objects]).sum(axis=0)
    for fmt, name in ((DatasetFormat.TIFF, "x.tif"), (DatasetFormat.OME_TIFF, "x.ome.tif")):
        write(as_dataset((clip,)), fmt, tmp_path / fmt)
        for kind in MaskKind:
            with tifffile.TiffFile(tmp_path / fmt / name.replace("x", f"car_{kind}")) as file:
                series = file.series[0]
                assert (series.axes, series.shape) == ("TYX", (2, 12, 16))
                assert (series.asarray() == expected).all()
                if fmt is DatasetFormat.TIFF:
                    assert file.is_imagej
                    metadata: Mapping[str, Any] = file.imagej_metadata or {}
                    assert metadata["frames"] == 2
                else:
                    assert file.is_ome
                    assert 'SizeT="2"' in (file.ome_metadata or "")
        with Image.open(tmp_path / fmt / name.replace("x", "car_visible")) as image:
            image.seek(1)
            assert (np.asarray(image) == expected).all()


def test_many_objects_need_wider_labels(tmp_path: Path) -> None:
    one = apart().objects[0]
    numbered = ClipObject(300, visible=one.visible)
    clip = DatasetClip("car", 12, 16, ("car/0.png", "car/1.png"), (numbered,))
    write(as_dataset((clip,)), DatasetFormat.TIFF, tmp_path / "out")
    found = tifffile.imread(tmp_path / "out" / "car_visible.tif")
    assert found.dtype == np.uint16
    assert found.max() == 300
    with pytest.raises(InputError, match="from 1 to 254"):
        write(as_dataset((clip,)), DatasetFormat.DAVIS, tmp_path / "davis")


def test_yolo_outlines_cover_the_masks(tmp_path: Path, clip: DatasetClip) -> None:
    import cv2

    mask = np.zeros((120, 160), np.bool_)
    cv2.circle(mask.view(np.uint8), (50, 60), 30, 1, -1)
    cv2.circle(mask.view(np.uint8), (130, 30), 15, 1, -1)
    polygon = outline(mask)
    assert polygon is not None
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(drawn, [np.floor(polygon).astype(np.int32)], 1)
    assert iou(drawn.astype(np.bool_), mask) > 0.98
    write(as_dataset((clip,)), DatasetFormat.YOLO, tmp_path / "out")
    lines = (tmp_path / "out" / "labels" / "train" / "train_car_00000.txt").read_text().splitlines()
    assert len(lines) == 2
    category, *places = lines[0].split()
    assert category == "0"
    assert len(places) % 2 == 0 and len(places) >= 6
    assert all(0 <= float(place) <= 1 for place in places)
    assert (tmp_path / "out" / "images" / "train" / "train_car_00000.png").is_file()
    assert '0: "object"' in (tmp_path / "out" / "data.yaml").read_text()
