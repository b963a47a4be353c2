"""Files that are wrong, by accident or on purpose: a clear error, and nothing written elsewhere."""

# ruff: noqa: E501 (a table of cases, one a line)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import as_dataset, read_all, with_frames, write
from test_dataset_formats import small

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset_formats import open_dataset
from napari_amodal.formats.format_table import DatasetFormat

Change = Callable[[dict[str, Any]], Any]

COCO, COCOA = DatasetFormat.COCO, DatasetFormat.COCOA
TAO, BURST = DatasetFormat.TAO_AMODAL, DatasetFormat.BURST


def first(data: dict[str, Any], *keys: Any) -> Any:
    """What lies under keys, in the first entry of each list."""
    for key in keys:
        data = data[key]
        if isinstance(data, list):
            data = data[0]
    return data


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(200):
        found = [found]
    return found


WRONG: list[tuple[str, DatasetFormat, Change, str]] = [
    ("another size", COCO, lambda d: first(d, "annotations", "segmentation").update(size=[16, 12]), "size"),
    ("too few runs", COCO, lambda d: first(d, "annotations", "segmentation").update(counts="1"), "fill"),
    ("cut-off runs", COCO, lambda d: first(d, "annotations", "segmentation").update(counts="P"), "read"),
    ("endless run", COCO, lambda d: first(d, "annotations", "segmentation").update(counts="o" * 40), "read"),
    ("runs that are none", COCO, lambda d: first(d, "annotations", "segmentation").update(counts=[1.5]), "read"),
    ("negative runs", COCO, lambda d: first(d, "annotations", "segmentation").update(counts=[-1, 193]), "read"),
    ("no runs", COCO, lambda d: first(d, "annotations", "segmentation").pop("counts"), "read"),
    ("far polygon", COCO, lambda d: first(d, "annotations").update(segmentation=[[0, 0, 1e9, 0, 9, 9]]), "far"),
    ("half a polygon", COCO, lambda d: first(d, "annotations").update(segmentation=[[0, 0, 1]]), "polygon"),
    ("nested", COCO, lambda d: first(d, "annotations").update(segmentation=deep()), "polygon"),
    ("huge amount", COCO, lambda d: first(d, "annotations").update(occlusion_amount=10**400), "amount"),
    ("negative amount", COCO, lambda d: first(d, "annotations").update(occlusion_amount=-1), "amount"),
    ("no level", COCO, lambda d: first(d, "annotations").update(occlusion_level="MUCH"), "levels are"),
    ("no box", COCO, lambda d: first(d, "annotations").update(amodal_bbox=[0, 0, 10**30, 1]), "box"),
    ("huge frames", COCO, lambda d: first(d, "videos").update(width=10**9), "pixels"),
    ("negative size", COCO, lambda d: first(d, "videos").update(height=-5), "pixels"),
    ("other images", COCO, lambda d: first(d, "images").update(height=5), "several sizes"),
    ("up and out", COCO, lambda d: first(d, "images").update(file_name="../../etc/passwd"), "no name within"),
    ("absolute", COCO, lambda d: first(d, "images").update(file_name="/etc/passwd"), "no name within"),
    ("drive", COCO, lambda d: first(d, "images").update(file_name="C:\\x.jpg"), "no name within"),
    ("NUL", COCO, lambda d: first(d, "images").update(file_name="a\0b.jpg"), "no name within"),
    ("half a character", COCO, lambda d: first(d, "images").update(file_name="a\ud800"), "text"),
    ("very long", COCO, lambda d: first(d, "images").update(file_name="a" * 5000), "no name within"),
    ("clip up and out", COCO, lambda d: first(d, "videos").update(name="../x"), "no name within"),
    ("hidden clip", COCO, lambda d: first(d, "videos").update(name=".ssh"), "no name within"),
    ("clip without name", COCO, lambda d: first(d, "videos").update(name=5), "no name"),
    ("image twice", COCO, lambda d: d["images"].append(d["images"][0]), "ids are there once"),
    ("annotated twice", COCO, lambda d: d["annotations"].append(d["annotations"][0]), "twice"),
    ("no such image", COCO, lambda d: first(d, "annotations").update(image_id=99), "image_id 99"),
    ("no such video", COCO, lambda d: first(d, "images").update(video_id=99), "video_id 99"),
    ("no such track", COCO, lambda d: first(d, "annotations").update(track_id=99), "track_id 99"),
    ("no such category", COCO, lambda d: first(d, "tracks").update(category_id=99), "category_id 99"),
    ("id that is none", COCO, lambda d: first(d, "images").update(id="1"), "whole numbers"),
    ("id beyond", COCO, lambda d: first(d, "images").update(id=2**63), "whole numbers"),
    ("no image", COCO, lambda d: first(d, "annotations").update(image_id=None, video_id=None), "neither"),
    ("number twice", COCO, lambda d: d["tracks"].append(d["tracks"][0] | {"id": 9}), "object number"),
    ("list of nothing", COCO, lambda d: d.update(images=[None]), "no JSON object"),
    ("regions", COCOA, lambda d: first(d, "annotations").update(regions={}), "regions"),
    ("region", COCOA, lambda d: first(d, "annotations").update(regions=[1]), "no JSON object"),
    ("hidden size", COCOA, lambda d: first(d, "annotations", "regions", "invisible_mask").update(size=[]), "size"),
    ("rate", COCOA, lambda d: first(d, "annotations", "regions").update(occlude_rate=-0.5), "amount"),
    ("track 0", COCOA, lambda d: first(d, "annotations", "regions").update(track_id=0), "track_id"),
    ("visibility", TAO, lambda d: first(d, "annotations").update(visibility="all"), "amount"),
    ("tao box", TAO, lambda d: first(d, "annotations").update(amodal_bbox=[1, 2]), "box"),
    ("rle", BURST, lambda d: first(d, "sequences", "segmentations")["1"].update(rle=5), "no rle"),
    ("runs", BURST, lambda d: first(d, "sequences", "segmentations")["1"].update(rle="0"), "fill"),
    ("other track", BURST, lambda d: first(d, "sequences", "segmentations").update({"5": {}}), "track"),
    ("track name", BURST, lambda d: first(d, "sequences", "segmentations").update({"-1": {}}), "track"),
    ("frames", BURST, lambda d: first(d, "sequences").update(segmentations=[]), "one a frame"),
    ("burst path", BURST, lambda d: first(d, "sequences").update(annotated_image_paths=["../a"]), "within"),
    ("burst name", BURST, lambda d: first(d, "sequences").update(dataset="/root"), "within"),
    ("burst size", BURST, lambda d: first(d, "sequences").update(width=True), "pixels"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fmt", "change", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_wrong_is_said(
    tmp_path: Path, fmt: DatasetFormat, change: Change, words: str
) -> None:
    clip = with_frames(small(), tmp_path / "root")
    write(as_dataset((clip,)), fmt, tmp_path / "out")
    path = tmp_path / "out" / "annotations.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=words), open_dataset(tmp_path / "out", fmt) as dataset:
        write(dataset, DatasetFormat.TABE51, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "early"),
        ("[]", "should be"),
        ("{", "no JSON"),
        ('{"images": [', "no JSON"),
        ('{"images": [{"id": 1}', "early"),
        ('{"images": [{"id": NaN}]}', "NaN is no number"),
        ('{"images": ' + "[" * 100_000, "nested|no JSON"),
        ('{"a": ' + "9" * 10_000 + "}", "no JSON"),
        ('{"info": {}}', "lists no images"),
        ('{"videos": []}', "lists no images"),
    ],
)
def test_json_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with (
        pytest.raises(InputError, match=words),
        open_dataset(path, DatasetFormat.COCO) as dataset,
    ):
        dataset.read(0)


def test_a_link_out_of_the_frames_is_not_followed(tmp_path: Path) -> None:
    clip = with_frames(small(), tmp_path / "root")
    write(as_dataset((clip,)), DatasetFormat.COCO, tmp_path / "out")
    frame = tmp_path / "out" / "images" / "car" / "00001.png"
    frame.unlink()
    frame.symlink_to(tmp_path / "root" / "car" / "00000.png")
    with pytest.raises(InputError, match="leads out of"):
        read_all(tmp_path / "out", DatasetFormat.COCO, None)


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    clip = with_frames(small(), tmp_path / "root")
    write(as_dataset((clip,)), DatasetFormat.BURST, tmp_path / "out")
    (tmp_path / "out" / "images" / "car" / "00002.png").write_bytes(b"no image")
    with (
        open_dataset(tmp_path / "out", DatasetFormat.BURST) as dataset,
        pytest.raises(InputError, match=r"car/00002\.png cannot be read"),
    ):
        write(dataset, DatasetFormat.TABE51, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_broken_label_stacks_are_named(tmp_path: Path) -> None:
    import tifffile

    (tmp_path / "a_visible.tif").write_bytes(b"II*\0 and no more")
    tifffile.imwrite(tmp_path / "b_visible.tif", np.zeros((3, 4, 5), np.float32))
    with open_dataset(tmp_path, DatasetFormat.TIFF) as dataset:
        with pytest.raises(InputError, match=r"a_visible\.tif cannot be read"):
            dataset.read(0)
        with pytest.raises(InputError, match="labels are whole numbers"):
            dataset.read(1)
