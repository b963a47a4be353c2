"""The TABE-51 layout: reading, writing, and what must not be lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from videos import number_of, write_video

from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.errors import CallError, Cancelled, InputError
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.tabe51 import full_stack, read_tabe51, write_tabe51
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, occlusion_of
from napari_amodal.masks import MaskStack

RNG = np.random.default_rng(0)


def noise(count: int = 5, height: int = 20, width: int = 30) -> Clip:
    return clip_from_array(RNG.integers(0, 256, (count, height, width, 3), np.uint8), "noise")


def half(clip: Clip) -> MaskStack:
    masks = np.zeros(clip.frames.shape[:3], np.bool_)
    masks[:, : clip.height // 2] = True
    return MaskStack.from_array(masks)


def write(folder: Path, clip: Clip, **how: Any) -> Path:
    visible = how.pop("visible", half(clip))
    amodal = how.pop("amodal", visible)
    write_tabe51(folder, clip, visible, amodal, occlusion_of(visible, amodal), **how)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip folder of five frames."""
    return write(tmp_path / "car", noise())


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@given(arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=6).map(lambda s: (2, *s))))
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40
)
def test_any_masks_survive_bit_for_bit(tmp_path: Path, masks: np.ndarray) -> None:
    clip = clip_from_array(np.zeros((*masks.shape[1:], 3), np.uint8), "any")
    visible, amodal = (MaskStack.from_array(stack) for stack in masks)
    out = write(tmp_path / "any", clip, visible=visible, amodal=amodal, overwrite=True)
    found = read_tabe51(out)
    assert full_stack(found.visible, found.clip, "visible_masks") == visible
    assert full_stack(found.amodal, found.clip, "gt_masks") == amodal
    assert found.occlusion == occlusion_of(visible, amodal)


def test_the_layout(tmp_path: Path) -> None:
    out = write(tmp_path / "out" / "noise", noise(2), provenance={"engine": "draft"})
    assert sorted(tree(out)) == [
        "annos.json",
        "frames/00000.jpg",
        "frames/00001.jpg",
        "gt_masks/00000.png",
        "gt_masks/00001.png",
        "napari-amodal.json",
        "visible_masks/00000.png",
        "visible_masks/00001.png",
    ]
    assert json.loads((out / "annos.json").read_text()) == {
        "occlusion": [{"level": "NO_OCCLUSION", "amount": 0.0}] * 2
    }
    found = read_tabe51(out)
    assert found.provenance == {"engine": "draft"}
    assert found.clip.name == "noise"
    assert found.clip.source == out
    assert list(found.visible) == [0, 1]
    assert open_clip(out).name == "noise"
    assert [path.name for path in out.parent.iterdir()] == ["noise"]


def test_the_clips_of_the_reference(shared: Path) -> None:
    clips = [read_tabe51(folder) for folder in sorted((shared / "clips").iterdir())]
    assert len(clips) > 0
    for found in clips:
        assert found.visible[0].any()
        assert found.clip.frame(0).shape == (found.clip.height, found.clip.width, 3)


def test_jpeg_frames_are_copied_unchanged(folder: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", open_clip(folder))
    assert tree(again) == tree(folder)


def test_other_frames_are_written_as_jpeg(tmp_path: Path) -> None:
    frames = tmp_path / "frames of mine"
    frames.mkdir()
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(smooth).save(frames / "a0.png")
    Image.fromarray(smooth.astype(np.uint16) * 100).save(frames / "a1.png")
    Image.fromarray(smooth).save(frames / "a2.jpg", exif=exif)
    Image.fromarray(smooth).save(frames / "a3.bmp")
    Image.fromarray(smooth).convert("RGBA").save(frames / "a4.png")
    clip = open_clip(frames)
    found = read_tabe51(write(tmp_path / "out", clip)).clip
    names = sorted(path.name for path in (tmp_path / "out" / "frames").iterdir())
    assert names == ["00000.png", "00001.jpg", "00002.jpg", "00003.jpg", "00004.jpg"]
    assert (tmp_path / "out/frames/00000.png").read_bytes() == (frames / "a0.png").read_bytes()
    for before, after in zip(clip, found, strict=True):
        assert np.abs(before.astype(int) - after).max() <= 6


def test_a_video_is_written_frame_by_frame(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "clip.mp4"))
    found = read_tabe51(write(tmp_path / "clip", clip)).clip
    assert [number_of(frame) for frame in found] == list(range(40))


def test_progress_is_reported_and_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(tmp_path / "one", noise(), on_frame=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 5) for n in range(1, 6)]

    def cancel(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        write(tmp_path / "two", noise(), on_frame=cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_that_is_there_is_refused(folder: Path) -> None:
    before = tree(folder)
    with pytest.raises(CallError, match="is there already"):
        write(folder, noise())
    assert tree(folder) == before


@pytest.mark.parametrize("make", ["file", "folder"])
def test_what_is_no_clip_folder_is_never_replaced(tmp_path: Path, make: str) -> None:
    target = tmp_path / "thesis"
    if make == "file":
        target.write_text("my thesis")
    else:
        target.mkdir()
        (target / "thesis.txt").write_text("my thesis")
    with pytest.raises(CallError, match="is no clip folder"):
        write(target, noise(), overwrite=True)
    assert (target if make == "file" else target / "thesis.txt").read_text() == "my thesis"


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert len(read_tabe51(write(tmp_path / "new", noise(), overwrite=True)).clip) == 5


def test_overwriting_keeps_what_is_not_ours(folder: Path) -> None:
    (folder / "depth").mkdir()
    (folder / "depth" / "00000.png").write_bytes(b"depth")
    (folder / "notes.txt").write_text("mine")
    (folder / "gt_masks" / "stale.png").write_bytes(b"old")
    write(folder, noise(3), overwrite=True)
    assert len(read_tabe51(folder).clip) == 3
    assert (folder / "depth" / "00000.png").read_bytes() == b"depth"
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["car"]


def test_overwriting_the_folder_that_the_clip_is_read_from(tmp_path: Path) -> None:
    source = tmp_path / "walk"
    (source / "frames").mkdir(parents=True)
    for n in range(8, 12):
        Image.fromarray(np.full((20, 30, 3), n, np.uint8)).save(source / "frames" / f"img{n}.bmp")
    clip = open_clip(source)
    frames = tree(source / "frames")
    write(source, clip, overwrite=True)
    assert tree(source / "frames") == frames
    assert [int(frame.max()) for frame in clip] == [8, 9, 10, 11]
    found = read_tabe51(source)
    assert full_stack(found.visible, found.clip, "visible_masks") == half(clip)
    assert (source / "visible_masks" / "img10.png").is_file()
    write(source, found.clip, overwrite=True)
    assert tree(source / "frames") == frames


def test_a_link_to_a_clip_folder_stays_a_link(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    write(link, noise(2), overwrite=True)
    assert link.is_symlink()
    assert len(read_tabe51(folder).clip) == 2


def test_a_frame_that_cannot_be_read_leaves_the_old_folder(folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(folder, tmp_path / "source")
    clip = open_clip(source)
    (source / "frames" / "00003.jpg").unlink()
    before = tree(folder)
    with pytest.raises(InputError, match=r"frames/00003\.jpg is gone"):
        write(folder, clip, overwrite=True)
    assert tree(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["car", "source"]


def test_masks_of_another_size_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="visible_masks has shape"):
        write(tmp_path / "x", noise(), visible=MaskStack.empty(5, 3, 3))


def test_a_custom_clip_needs_little(folder: Path) -> None:
    shutil.rmtree(folder / "gt_masks")
    (folder / "annos.json").unlink()
    for path in sorted((folder / "visible_masks").iterdir())[1:]:
        path.unlink()
    found = read_tabe51(folder)
    assert list(found.visible) == [0]
    assert dict(found.amodal) == {}
    assert (found.occlusion, found.provenance) == (None, None)
    message = r"visible_masks/00001\.png is missing: of the 5 frames of 'car' 1 have a mask"
    with pytest.raises(InputError, match=message):
        full_stack(found.visible, found.clip, "visible_masks")


def test_masks_follow_the_names_of_their_frames(folder: Path) -> None:
    for sub, suffix in (("frames", "jpg"), ("visible_masks", "png"), ("gt_masks", "png")):
        for n in range(4, -1, -1):
            (folder / sub / f"{n:05d}.{suffix}").rename(folder / sub / f"shot{n + 7}.{suffix}")
    (folder / "visible_masks" / "shot9.png").unlink()
    assert list(read_tabe51(folder).visible) == [0, 1, 3, 4]


@pytest.mark.parametrize("masks", ["visible_masks", "gt_masks"])
def test_a_mask_without_a_frame_is_named(folder: Path, masks: str) -> None:
    shutil.copy(folder / masks / "00000.png", folder / masks / "00005.png")
    message = rf"{masks}/00005\.png has no frame: frames/ holds 5 files, 00000\.jpg to 00004\.jpg"
    with pytest.raises(InputError, match=message):
        read_tabe51(folder)


@pytest.mark.parametrize("masks", ["visible_masks", "gt_masks"])
def test_a_mask_of_another_size_is_named(folder: Path, masks: str) -> None:
    Image.fromarray(np.zeros((10, 30), np.uint8)).save(folder / masks / "00003.png")
    message = rf"{masks}/00003\.png is 30x10, the frames are 30x20"
    with pytest.raises(InputError, match=message):
        read_tabe51(folder)


def test_a_broken_mask_is_named(folder: Path) -> None:
    path = folder / "visible_masks" / "00002.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"visible_masks/00002\.png cannot be read"):
        read_tabe51(folder)


def test_masks_in_jpeg_are_named(folder: Path) -> None:
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / "gt_masks" / "00003.jpg")
    with pytest.raises(InputError, match=r"gt_masks/00003\.jpg is no PNG"):
        read_tabe51(folder)


def test_broken_json_is_named(folder: Path) -> None:
    (folder / "napari-amodal.json").write_text("[1]")
    with pytest.raises(InputError, match=r"car/napari-amodal\.json holds no JSON object"):
        read_tabe51(folder)
    (folder / "annos.json").write_text('{"occlusion": [1, 2]}')
    with pytest.raises(InputError, match=r"car/annos\.json has 2 entries, the clip has 5 frames"):
        read_tabe51(folder)


def test_png_frames_are_read(folder: Path) -> None:
    for path in (folder / "frames").iterdir():
        with Image.open(path) as image:
            image.save(path.with_suffix(".png"))
        path.unlink()
    assert len(read_tabe51(folder).clip) == 5


def test_a_folder_that_is_no_clip_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no clip folder"):
        read_tabe51(tmp_path)


def test_several_objects_in_a_mask_can_be_read_apart(folder: Path) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[:5], labels[10:] = 1, 2
    Image.fromarray(labels).save(folder / "visible_masks" / "00000.png")
    found = read_tabe51(folder)
    assert np.array_equal(found.visible.labels(0), labels)
    with pytest.raises(InputError, match=r"visible_masks/00000\.png holds several objects"):
        found.visible[0]


def test_a_level_of_none_has_no_amount(tmp_path: Path) -> None:
    clip = noise(2)
    empty = MaskStack.empty(2, 20, 30)
    found = read_tabe51(write(tmp_path / "gone", clip, visible=empty))
    assert found.occlusion == (FrameOcclusion(OcclusionLevel.NONE, None),) * 2
