"""What is exported is what the annotator sees, and nothing of theirs is overwritten unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_amodal.clip import Clip, clip_from_array
from napari_amodal.errors import CallError, Cancelled
from napari_amodal.export import Annotation, Origin, export, object_folders
from napari_amodal.formats.tabe51 import read_tabe51
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import MaskStack
from napari_amodal.sample import SampleClip, sample_clip


@pytest.fixture(scope="module")
def sample() -> SampleClip:
    return sample_clip(frames=8, height=90)


def annotation_from(sample: SampleClip) -> Annotation:
    frames = len(sample.clip)
    return Annotation(
        visible=sample.visible,
        amodal=sample.amodal,
        visible_origin=(Origin.QUERY, *(Origin.TRACKED,) * (frames - 1)),
        amodal_origin=(Origin.COMPLETED,) * frames,
        confidence=np.linspace(1, 0, frames, dtype=np.float32),
        leaving=frozenset(),
    )


def test_masks_and_levels_come_back_bit_for_bit(tmp_path: Path, sample: SampleClip) -> None:
    (folder,) = export(tmp_path, sample.clip, {1: annotation_from(sample)})

    assert folder == tmp_path / "coffee"
    back = read_tabe51(folder)
    for frame in range(len(sample.clip)):
        np.testing.assert_array_equal(back.visible[frame], sample.visible[frame])
        np.testing.assert_array_equal(back.amodal[frame], sample.amodal[frame])
    assert back.occlusion is not None
    assert [found.level for found in back.occlusion] == [true.level for true in sample.occlusion]


def test_an_edited_frame_is_marked_and_counted_anew(tmp_path: Path, sample: SampleClip) -> None:
    nothing = np.zeros((sample.clip.height, sample.clip.width), bool)
    found = annotation_from(sample)
    edited = found.edited(found.visible.replaced({5: nothing}), found.amodal)

    (folder,) = export(tmp_path, sample.clip, {1: edited})

    frames = json.loads((folder / "napari-amodal.json").read_text())["frames"]
    assert [frame["visible"] for frame in frames] == [
        "query",
        *["tracked"] * 4,
        "edited",
        *["tracked"] * 2,
    ]
    assert {frame["amodal"] for frame in frames} == {"completed"}
    assert [frame["confidence"] for frame in frames][::7] == [1.0, 0.0]
    occlusion = read_tabe51(folder).occlusion
    assert occlusion is not None
    assert occlusion[5].level is OcclusionLevel.SEVERE_OCCLUSION
    assert occlusion[5].amount == 1


def test_frames_that_are_left_have_no_amount(tmp_path: Path, sample: SampleClip) -> None:
    found = replace(annotation_from(sample), leaving=frozenset({7}))

    (folder,) = export(tmp_path, sample.clip, {1: found})

    annos = json.loads((folder / "annos.json").read_text())["occlusion"]
    assert annos[7] == {"level": "NONE", "amount": None}


def test_further_objects_get_folders_of_their_own(tmp_path: Path, sample: SampleClip) -> None:
    found = annotation_from(sample)
    empty = replace(found, visible=MaskStack.empty(*found.visible.shape))

    export(tmp_path, sample.clip, {7: empty, 2: found})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["coffee", "coffee-1"]
    assert read_tabe51(tmp_path / "coffee").visible[0].any()
    assert not read_tabe51(tmp_path / "coffee-1").visible[0].any()
    assert object_folders(tmp_path, "coffee", (7, 2))[7] == tmp_path / "coffee-1"


def test_a_folder_that_is_there_is_refused_before_anything_is_written(
    tmp_path: Path, sample: SampleClip
) -> None:
    found = annotation_from(sample)
    (tmp_path / "coffee-1").mkdir()
    (tmp_path / "coffee-1" / "thesis.txt").write_text("years of work")

    with pytest.raises(CallError, match="coffee-1 is there already"):
        export(tmp_path, sample.clip, {1: found, 2: found})

    assert [path.name for path in tmp_path.rglob("*")] == ["coffee-1", "thesis.txt"]


def test_overwriting_replaces_masks_and_keeps_what_is_not_ours(
    tmp_path: Path, sample: SampleClip
) -> None:
    found = annotation_from(sample)
    export(tmp_path, sample.clip, {1: found})
    (tmp_path / "coffee" / "notes.txt").write_text("mine")
    cleared = replace(found, amodal=found.visible)

    export(tmp_path, sample.clip, {1: cleared}, overwrite=True)

    back = read_tabe51(tmp_path / "coffee")
    np.testing.assert_array_equal(back.amodal[3], sample.visible[3])
    assert (tmp_path / "coffee" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["coffee"]


def test_a_folder_that_is_no_clip_is_never_replaced(tmp_path: Path, sample: SampleClip) -> None:
    (tmp_path / "coffee").mkdir()
    (tmp_path / "coffee" / "thesis.txt").write_text("years of work")

    with pytest.raises(CallError, match="coffee"):
        export(tmp_path, sample.clip, {1: annotation_from(sample)}, overwrite=True)

    assert (tmp_path / "coffee" / "thesis.txt").read_text() == "years of work"


def test_a_clip_can_be_completed_in_place(tmp_path: Path, sample: SampleClip) -> None:
    """Opened from its folder, corrected, and exported over it: the frames stay as they are."""
    found = annotation_from(sample)
    (folder,) = export(tmp_path, sample.clip, {1: replace(found, amodal=found.visible)})
    before = [path.read_bytes() for path in sorted((folder / "frames").iterdir())]

    export(tmp_path, read_tabe51(folder).clip, {1: found}, overwrite=True)

    assert [path.read_bytes() for path in sorted((folder / "frames").iterdir())] == before
    np.testing.assert_array_equal(read_tabe51(folder).amodal[3], sample.amodal[3])


def test_cancelled_in_the_middle_it_leaves_the_old_folder(
    tmp_path: Path, sample: SampleClip
) -> None:
    found = annotation_from(sample)
    export(tmp_path, sample.clip, {1: found})
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))

    def stop_halfway(done: int, total: int) -> None:
        if done > total / 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        export(tmp_path, sample.clip, {1: found}, overwrite=True, on_frame=stop_halfway)

    assert sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_a_file_in_the_way_is_named(tmp_path: Path, sample: SampleClip) -> None:
    (tmp_path / "out").write_text("")

    with pytest.raises(CallError, match="out is a file"):
        export(tmp_path / "out", sample.clip, {1: annotation_from(sample)})


def test_a_clip_of_one_frame(tmp_path: Path) -> None:
    clip: Clip = clip_from_array(np.zeros((1, 4, 6, 3), np.uint8), "one")
    mask = MaskStack.from_array(np.ones((1, 4, 6), bool))
    found = Annotation(
        mask, mask, (Origin.QUERY,), (Origin.COMPLETED,), np.ones(1, np.float32), frozenset()
    )

    (folder,) = export(tmp_path, clip, {1: found})

    assert read_tabe51(folder).amodal[0].all()
