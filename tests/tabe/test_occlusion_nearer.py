"""What is nearer than an object in one depth map, and depth scales from frame to frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_amodal.boxes import Box
from napari_amodal.clip import clip_from_array, clip_over, part_of
from napari_amodal.errors import InputError
from napari_amodal.formats.images import open_image_folder
from napari_amodal.progress import Watch
from napari_amodal.tabe.depth_source import DepthFolder
from napari_amodal.tabe.occlusion_hiders import scale_and_shift
from napari_amodal.tabe.occlusion_nearer import depth_view, nearer_than_object, working_mask

EVERYWHERE = Box(0, 0, 100, 160)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A depth map, the visible mask, and what is nearer: a bar across the object."""
    depth = np.full((100, 160), 30, np.uint8)
    whole = np.zeros(depth.shape, np.bool_)
    whole[30:80, 50:110] = True
    bar = np.zeros_like(whole)
    bar[:, 70:80] = True
    depth[whole] = 120
    depth[bar] = 140
    return depth, whole & ~bar, bar


@given(st.floats(0.3, 1.3), st.floats(0, 60))
def test_scale_and_shift_of_a_map_do_not_matter(scale: float, shift: float) -> None:
    depth, seen, bar = scene()
    changed = np.rint(scale * depth + shift).clip(0, 255).astype(np.uint8)
    found = nearer_than_object(depth_view(changed), seen, EVERYWHERE)
    assert np.array_equal(found, bar)


def test_an_object_that_slants_is_not_nearer_than_itself_nor_is_the_floor_it_stands_on() -> None:
    rows = np.mgrid[:100, :160][0]
    depth = (20 + 1.5 * rows).astype(np.uint8)
    seen = np.zeros(depth.shape, np.bool_)
    seen[20:60, 40:120] = True
    found = nearer_than_object(depth_view(depth), seen, Box(0, 0, 60, 160))
    beside = np.zeros_like(seen[:60])
    beside[20:60, 30:130] = True
    assert (found & beside).mean() < 0.01


def test_noise_is_nothing_nearer() -> None:
    depth, seen, bar = scene()
    depth = np.where(bar, 200, depth)
    noisy = depth + np.random.default_rng(0).normal(0, 10, depth.shape)
    found = nearer_than_object(depth_view(np.rint(noisy).astype(np.uint8)), seen, EVERYWHERE)
    assert (found & bar).sum() > 0.95 * bar.sum()
    assert (found & ~bar).sum() < 0.01 * bar.size


def test_large_maps_are_looked_at_in_working_size() -> None:
    depth, seen, bar = (
        cv2.resize(a.astype(np.uint8), (1600, 1000), interpolation=0) for a in scene()
    )
    view = depth_view(depth)
    assert view.depth.shape == (400, 640)
    found = nearer_than_object(view, working_mask(seen > 0, view), Box(0, 0, 400, 640))
    expected = working_mask(bar > 0, view)
    assert (found != expected).mean() < 0.005


@given(st.floats(0.4, 1.5), st.floats(-30, 40))
def test_scales_of_two_frames_are_compared_in_spite_of_what_moves(
    scale: float, shift: float
) -> None:
    rng = np.random.default_rng(3)
    before = cv2.resize(rng.uniform(20, 150, (6, 8)), (64, 36)).astype(np.float32)
    after = (scale * before + shift).astype(np.float32)
    after[10:22, 20:36] = 250
    found = scale_and_shift(before, after)
    assert found == pytest.approx((scale, shift), abs=0.02 * (1 + abs(shift)))


def test_a_map_of_one_depth_only_shifts() -> None:
    flat = np.full((36, 64), 80, np.float32)
    assert scale_and_shift(flat, flat + 5) == (1.0, 5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("frames", "depth"):
        (tmp_path / name).mkdir()
    for frame in range(3):
        pixels = np.full((20, 30, 3), 10 * frame, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "frames" / f"{frame:05d}.png")
        Image.fromarray(pixels[..., 0]).save(tmp_path / "depth" / f"{frame:05d}.png")
    return tmp_path


def test_the_depth_folder_beside_the_frames(folder: Path) -> None:
    clip = clip_over("c", open_image_folder(folder / "frames"), folder)
    source = DepthFolder.of(clip)
    assert source is not None
    maps = list(source.maps(clip, Watch()))
    assert [one[0, 0] for one in maps] == [0, 10, 20]
    assert {(one.shape, one.dtype) for one in maps} == {((20, 30), np.dtype(np.uint8))}


def test_the_depth_of_some_frames_is_theirs(folder: Path) -> None:
    clip = clip_over("c", open_image_folder(folder / "frames"), folder)
    part = part_of(part_of(clip, [2, 1, 0]), [0, 2])
    source = DepthFolder.of(part)
    assert source is not None
    assert [one[0, 0] for one in source.maps(part, Watch())] == [20, 0]


def test_no_depth_folder() -> None:
    assert DepthFolder.of(clip_from_array(np.zeros((1, 4, 4, 3), np.uint8))) is None


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((21, 30), np.uint8), "00001.png is 30x21, the frames are 30x20"),
        (np.zeros((20, 30, 3), np.uint8), "00001.png is no 8-bit grey image"),
        (None, "00001.png"),
    ],
)
def test_a_wrong_map_is_named(folder: Path, picture: np.ndarray | None, said: str) -> None:
    path = folder / "depth" / "00001.png"
    path.write_bytes(b"no image") if picture is None else Image.fromarray(picture).save(path)
    clip = clip_over("c", open_image_folder(folder / "frames"), folder)
    with pytest.raises(InputError, match=said):
        list(DepthFolder(folder / "depth").maps(clip, Watch()))


def test_a_missing_map_is_counted(folder: Path) -> None:
    (folder / "depth" / "00002.png").unlink()
    clip = clip_over("c", open_image_folder(folder / "frames"), folder)
    with pytest.raises(InputError, match="2 depth maps, the clip 3 frames"):
        list(DepthFolder(folder / "depth").maps(clip, Watch()))
