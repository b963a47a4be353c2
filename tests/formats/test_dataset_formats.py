"""Datasets from every format to every other: what is kept, bit for bit, and what is not."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import datasets as made
import numpy as np
import pytest
from datasets import READABLE, as_dataset, described, kept, read_all, with_frames, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import ClipObject, Dataset, DatasetClip
from napari_amodal.formats.dataset_formats import open_dataset, recognise
from napari_amodal.formats.format_table import KEEPS, DatasetFormat, Facet, MaskKind, lost
from napari_amodal.levels import FrameOcclusion, OcclusionLevel

#: Many small files are flushed to the disk, which takes its time where there is one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

PAIRS = list(itertools.product(READABLE, READABLE))


@given(found=made.datasets, pair=st.sampled_from(PAIRS), kind=st.sampled_from(MaskKind))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_dataset_keeps_what_the_table_says(
    found: tuple[DatasetClip, ...], pair: tuple[DatasetFormat, DatasetFormat], kind: MaskKind
) -> None:
    first, second = pair
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder) / "root"
        whole = tuple(with_frames(clip, root) for clip in found)
        write(as_dataset(whole), first, Path(folder) / "a", kind)
        expected = {clip.name: kept(clip, first, kind) for clip in whole}
        once = read_all(Path(folder) / "a", first, _images(first, root), kind)
        assert {name: described(clip) for name, clip in once.items()} == {
            name: described(clip) for name, clip in expected.items()
        }
        # A TABE-51 folder is one of an object: a clip without one is named, not written.
        bare = {name for name, clip in once.items() if not clip.objects}
        if second is DatasetFormat.TABE51 and bare == once.keys():
            return
        with open_dataset(Path(folder) / "a", first, _images(first, root), kind) as dataset:
            result = write(dataset, second, Path(folder) / "b", kind)
        assert {name for name, _ in result.failed} == (
            bare if second is DatasetFormat.TABE51 else set()
        )
        twice = read_all(Path(folder) / "b", second, _images(second, root), kind)
        assert {name: described(clip) for name, clip in twice.items()} == {
            name: described(kept(clip, second, kind))
            for name, clip in expected.items()
            if name in twice
        }
        for name, clip in twice.items():
            if Facet.FRAMES in KEEPS[second]:
                assert clip.images is not None
                for at, image in enumerate(clip.images):
                    assert image.read_bytes() == whole_of(whole, name).images[at].read_bytes()  # type: ignore[index]


def whole_of(found: tuple[DatasetClip, ...], name: str) -> DatasetClip:
    return next(clip for clip in found if clip.name == name)


def _images(fmt: DatasetFormat, root: Path) -> Path | None:
    """Label stacks have no frames of their own."""
    return root if fmt in (DatasetFormat.TIFF, DatasetFormat.OME_TIFF) else None


def small(name: str = "car", objects: int = 1, frames: int = 3) -> DatasetClip:
    """A clip with exact masks and levels."""
    rng = np.random.default_rng(3)
    amodal = rng.random((objects, frames, 12, 16)) < 0.4
    visible = amodal & (rng.random(amodal.shape) < 0.7)
    occlusion = {f: FrameOcclusion(OcclusionLevel.SLIGHT_OCCLUSION, 0.25) for f in range(frames)}
    return DatasetClip(
        name,
        12,
        16,
        tuple(f"{name}/{frame:05d}.png" for frame in range(frames)),
        tuple(
            ClipObject(
                n + 1,
                "object",
                dict(enumerate(visible[n])),
                dict(enumerate(amodal[n])),
                occlusion=occlusion,
            )
            for n in range(objects)
        ),
    )


@pytest.fixture
def clip(tmp_path: Path) -> DatasetClip:
    return with_frames(small(objects=2), tmp_path / "root")


@pytest.mark.parametrize("fmt", list(DatasetFormat))
def test_formats_are_recognised(tmp_path: Path, clip: DatasetClip, fmt: DatasetFormat) -> None:
    write(as_dataset((clip,)), fmt, tmp_path / "out")
    found = recognise(tmp_path / "out")
    assert found == (DatasetFormat.TIFF if fmt is DatasetFormat.OME_TIFF else fmt)


def test_what_is_lost_is_told_in_words() -> None:
    tabe51, coco, davis = DatasetFormat.TABE51, DatasetFormat.COCO, DatasetFormat.DAVIS
    assert lost(tabe51, coco, MaskKind.VISIBLE) == ()
    assert "amodal masks" in lost(tabe51, davis, MaskKind.VISIBLE)
    assert "visible masks" not in lost(tabe51, davis, MaskKind.VISIBLE)
    assert "visible masks" in lost(tabe51, davis, MaskKind.AMODAL)
    assert lost(davis, coco, MaskKind.VISIBLE) == ()
    assert lost(davis, DatasetFormat.BURST, MaskKind.VISIBLE) == ()


def test_the_reference_clips_come_back_bit_for_bit(tmp_path: Path, shared: Path) -> None:
    clips = shared / "clips"
    before = read_all(clips, DatasetFormat.TABE51, None)
    with open_dataset(clips, DatasetFormat.TABE51) as dataset:
        assert write(dataset, DatasetFormat.COCO, tmp_path / "coco").failed == ()
    with open_dataset(tmp_path / "coco", DatasetFormat.COCO) as dataset:
        assert write(dataset, DatasetFormat.TABE51, tmp_path / "back").failed == ()
    after = read_all(tmp_path / "back", DatasetFormat.TABE51, None)
    assert before.keys() == after.keys()
    for name, clip in before.items():
        old, new = described(clip), described(after[name])
        assert old["objects"] == new["objects"]
        assert clip.images is not None
        assert after[name].images is not None
        for one, other in zip(clip.images, after[name].images or (), strict=True):
            assert one.read_bytes() == other.read_bytes()


def test_names_with_folders_in_them(tmp_path: Path) -> None:
    """As TAO has them; folders of clips are flat."""
    clip = with_frames(small("train/YFCC100M/v_1"), tmp_path / "root")
    for fmt in (DatasetFormat.COCO, DatasetFormat.TAO_AMODAL, DatasetFormat.BURST):
        write(as_dataset((clip,)), fmt, tmp_path / fmt)
        (found,) = read_all(tmp_path / fmt, fmt, None).values()
        assert (found.name, found.frame_names) == (clip.name, clip.frame_names)
        assert found.images is not None
    write(as_dataset((clip,)), DatasetFormat.TABE51, tmp_path / "flat")
    assert [path.name for path in (tmp_path / "flat").iterdir()] == ["train_YFCC100M_v_1"]


def test_further_objects_are_folders_with_a_number(tmp_path: Path, clip: DatasetClip) -> None:
    write(as_dataset((clip,)), DatasetFormat.TABE51, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["car", "car-1"]
    other = with_frames(small("dog-1"), tmp_path / "root")
    alone = as_dataset((with_frames(small("dog"), tmp_path / "root"), other))
    write(alone, DatasetFormat.TABE51, tmp_path / "two")
    assert set(read_all(tmp_path / "two", DatasetFormat.TABE51, None)) == {"dog", "dog-1"}


def test_a_bad_clip_is_left_out_and_named(tmp_path: Path, clip: DatasetClip) -> None:
    def read(number: int) -> DatasetClip:
        if number == 1:
            raise InputError("broken somewhere")
        return with_frames(small(f"car{number}"), tmp_path / "root")

    dataset = Dataset(("car0", "car1", "car2"), read)
    result = write(dataset, DatasetFormat.DAVIS, tmp_path / "out")
    assert (result.written, result.failed) == (2, (("car1", "broken somewhere"),))
    assert set(read_all(tmp_path / "out", DatasetFormat.DAVIS, None)) == {"car0", "car2"}


def test_nothing_is_left_of_a_dataset_without_a_good_clip(
    tmp_path: Path, clip: DatasetClip
) -> None:
    bare = as_dataset((small(),))
    with pytest.raises(InputError, match="the frames of 'car' are not there"):
        write(bare, DatasetFormat.TABE51, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def test_two_clips_of_one_name_do_not_mix(tmp_path: Path) -> None:
    one = with_frames(small("a/b"), tmp_path / "root")
    two = with_frames(small("a_b"), tmp_path / "root")
    result = write(as_dataset((one, two)), DatasetFormat.TABE51, tmp_path / "out")
    assert result.written == 1
    assert "is there from another clip" in result.failed[0][1]


def test_existing_data_is_replaced_only_if_asked_to(tmp_path: Path, clip: DatasetClip) -> None:
    out = tmp_path / "out"
    write(as_dataset((clip,)), DatasetFormat.COCO, out)
    with pytest.raises(InputError, match="is there already"):
        write(as_dataset((clip,)), DatasetFormat.COCO, out)
    (out / "notes.txt").write_text("mine")
    write(as_dataset((clip,)), DatasetFormat.COCO, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="no clip folder"):
        write(as_dataset((clip,)), DatasetFormat.COCO, mine, overwrite=True)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
