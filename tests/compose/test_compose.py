"""The amodal ground truth of a composed clip is exact; proven pixel by pixel."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

import fuzz_compose
from napari_amodal.batch.outcome import Status
from napari_amodal.cli import app
from napari_amodal.clip import clip_from_array
from napari_amodal.compose.compose_job import ComposeJob, compose_clip, is_composed, write_composed
from napari_amodal.compose.course import Course, Timing
from napari_amodal.compose.cutout import cut_out, soft_alpha
from napari_amodal.compose.description import read_description
from napari_amodal.compose.layers import Composition, Footage, Occluder, compose
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.mask_png import write_mask
from napari_amodal.formats.tabe51 import PROVENANCE, read_tabe51, write_tabe51
from napari_amodal.levels import OcclusionLevel, level_of, occlusion_of
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch

HEIGHT, WIDTH, FRAMES = 48, 80, 8

Pixels = NDArray[np.uint8]


def disc(frames: int, path: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    """A disc that moves: its row, its first column, and columns a frame."""
    y, x, speed = path
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack(
        [(rows - y) ** 2 + (columns - x - speed * t) ** 2 < radius**2 for t in range(frames)]
    )


def footage(seed: int, masks: NDArray[np.bool_], timing: Timing | None = None) -> Footage:
    noise = np.random.default_rng(seed).integers(0, 256, (len(masks), HEIGHT, WIDTH, 3), np.uint8)
    return Footage(
        clip_from_array(noise, f"clip-{seed}"), dict(enumerate(masks)), timing or Timing()
    )


def pictures(composition: Composition) -> Pixels:
    return np.stack(list(composition.clip))


OBJECT = disc(FRAMES, (24, 40, 0), 14)

occluders = st.builds(
    lambda seed, row, speed, scale, softness, depth: Occluder(
        footage(seed, disc(FRAMES, (row, 10, speed), 11)),
        Course.constant(scale),
        Course.constant(0.0, 3.0),
        Course((0, FRAMES - 1), ((depth[0],), (depth[1],))),
        softness,
    ),
    st.integers(1, 5),
    st.floats(5, 40),
    st.floats(0, 12),
    st.floats(0.4, 2),
    st.floats(0, 6),
    st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)


@settings(max_examples=8, deadline=None)
@given(st.lists(occluders, max_size=3))
def test_the_truth_is_exact_by_construction(laid: list[Occluder]) -> None:
    """Whatever is laid over the object.

    The amodal mask is the object's own, bit for bit. A visible pixel is nearer to the object's
    clip than to black and white laid over it could move it: of its colour more than half is the
    object's. Where nothing lies over the clip the picture is the clip's own.
    """
    target = footage(0, OBJECT)
    found = compose("composed", target, laid)
    np.testing.assert_array_equal(np.asarray(found.amodal), OBJECT)
    visible = np.asarray(found.visible)
    assert not (visible & ~OBJECT).any()

    # The same scene with the object's clip black, then white, gives the object's share of colour.
    shares = []
    for value in (0, 255):
        plain = np.full((FRAMES, HEIGHT, WIDTH, 3), value, np.uint8)
        base = Footage(clip_from_array(plain, "plain"), dict(enumerate(OBJECT)), Timing())
        shares.append(pictures(compose("plain", base, laid)).astype(float))
    share = ((shares[1] - shares[0]) / 255).min(axis=-1)
    assert (share[visible] > 0.5 - 2 / 255).all()
    assert (share[OBJECT & ~visible] < 0.5 + 2 / 255).all()

    truth = np.stack(list(target.clip))
    untouched = share == 1
    np.testing.assert_array_equal(pictures(found)[untouched], truth[untouched])


def test_levels_and_amounts_are_those_of_the_layout() -> None:
    over = Occluder(footage(1, disc(FRAMES, (24, 0, 10), 14)), softness=0)
    found = compose("composed", footage(0, OBJECT), [over])
    seen, whole = np.asarray(found.visible), np.asarray(found.amodal)
    assert found.occlusion == occlusion_of(found.visible, found.amodal)
    levels = {occlusion.level for occlusion in found.occlusion}
    assert {OcclusionLevel.NO_OCCLUSION, OcclusionLevel.SEVERE_OCCLUSION} <= levels
    for frame, occlusion in enumerate(found.occlusion):
        assert occlusion.amount == pytest.approx(1 - seen[frame].sum() / whole[frame].sum())
        assert occlusion.level is level_of(occlusion.amount)


def test_an_object_that_leaves_is_of_no_level() -> None:
    found = compose("composed", footage(0, disc(FRAMES, (24, 30, 12), 10)), [])
    levels = [occlusion.level for occlusion in found.occlusion]
    assert levels[0] is OcclusionLevel.NO_OCCLUSION
    assert levels[-1] is OcclusionLevel.NONE
    assert found.occlusion[-1].amount is None


def test_an_object_at_the_border_all_along_is_of_no_level_whatever_hides_it() -> None:
    masks = np.repeat(disc(1, (2, 40, 0), 12), FRAMES, 0)
    found = compose("composed", footage(0, masks), [Occluder(footage(1, masks), softness=0)])
    assert not np.asarray(found.visible).any()
    assert {one.level for one in found.occlusion} == {OcclusionLevel.NONE}
    assert {one.amount for one in found.occlusion} == {None}


def test_a_clean_plate_frees_the_occluders_own_colour() -> None:
    """An occluder blended over a known background is found again, to the rounding of 8 bits."""
    alpha = soft_alpha(OBJECT[0], 4)
    generator = np.random.default_rng(3)
    own = np.full((HEIGHT, WIDTH, 3), (200, 40, 90), float)
    plate = generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    share = alpha[..., None]
    frame = np.rint(share * own + (1 - share) * plate).astype(np.uint8)
    freed = cut_out(frame, alpha, plate)
    assert np.abs(freed.color - share * own).max() <= 0.51
    bare = cut_out(frame, alpha)  # without it the edge takes the colour from inside
    assert np.abs(bare.color - share * own)[alpha > 0.02].max() <= 6


def test_behind_the_object_nothing_hides_it_and_depth_may_change() -> None:
    masks = np.repeat(disc(1, (24, 46, 0), 12), FRAMES, 0)
    course = Course((0, 3, 4), ((-1.0,), (-1.0,), (1.0,)))
    found = compose("composed", footage(0, OBJECT), [Occluder(footage(1, masks), depth=course)])
    amounts = [occlusion.amount for occlusion in found.occlusion]
    assert amounts[:4] == [0.0] * 4
    assert min(amounts[4:]) > 0.2
    base = np.stack(list(footage(0, OBJECT).clip))
    assert (pictures(found)[:4][OBJECT[:4]] == base[:4][OBJECT[:4]]).all()
    assert (pictures(found)[0][~OBJECT[0]] != base[0][~OBJECT[0]]).any()


def test_of_two_occluders_the_nearer_is_on_top() -> None:
    masks = np.repeat(disc(1, (24, 40, 0), 12), FRAMES, 0)
    near, far = (
        Occluder(footage(seed, masks), depth=Course.constant(depth), softness=0)
        for seed, depth in ((1, 2.0), (2, 1.0))
    )
    shown = pictures(compose("composed", footage(0, OBJECT), [near, far]))
    expected = np.stack(list(near.footage.clip))
    assert (shown[masks] == expected[masks]).all()


def test_occluders_meet_the_object() -> None:
    small = disc(FRAMES, (10, 8, 1), 5)
    over = Occluder(footage(1, small), Course.constant(2.0), softness=0, meet=5)
    found = compose("composed", footage(0, OBJECT), [over])
    hidden = np.argwhere((np.asarray(found.amodal) & ~np.asarray(found.visible))[5])
    assert hidden.mean(axis=0) == pytest.approx([24, 40], abs=1)
    with pytest.raises(InputError, match="to meet clip-0 at frame 99"):
        compose("x", footage(0, OBJECT), [Occluder(footage(1, small), meet=99)])


def test_timing() -> None:
    assert Timing(fps=6).taken(10, 12.0) == (0, 2, 4, 6, 8)
    assert Timing(first=2, last=5, reverse=True).taken(10, None) == (5, 4, 3, 2)
    timing = Timing(begin=3, pause=2)
    shown = [timing.shown(4, frame) for frame in range(12)]
    assert shown == [None, None, None, 0, 1, 2, 3, 3, 3, None, None, None]
    assert Timing(pause=None).shown(4, 1000) == 3
    target = footage(0, OBJECT, Timing(first=1, last=4, reverse=True, pause=2))
    found = compose("composed", target, [])
    expected = np.stack(list(target.clip))[[4, 3, 2, 1, 1, 1]]
    np.testing.assert_array_equal(pictures(found), expected)
    for wrong in (Timing(fps=24), Timing(first=5, last=2), Timing(last=10)):
        with pytest.raises(ValueError):
            wrong.taken(10, 12.0)


# From a description file to folders


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """An object in the TABE-51 layout, and occluders with masks as a folder and as a TIFF."""
    target = footage(0, OBJECT)
    masks = MaskStack.from_array(OBJECT)
    write_tabe51(tmp_path / "ball", target.clip, masks, masks, occlusion_of(masks, masks))
    passing = disc(FRAMES, (24, 0, 10), 12)
    over = footage(1, passing)
    nothing = MaskStack.empty(FRAMES, HEIGHT, WIDTH)
    write_tabe51(tmp_path / "over", over.clip, nothing, nothing, occlusion_of(nothing, nothing))
    (tmp_path / "masks").mkdir()
    for frame, mask in enumerate(passing):
        write_mask(tmp_path / f"masks/{frame}.png", mask)
    tifffile.imwrite(tmp_path / "labels.tif", passing.astype(np.uint16) * 3)
    return tmp_path


DESCRIPTION = """
seed = 4
[[clip]]
name = "set"
copies = 3
[clip.object]
source = "ball"
[[clip.occluder]]
source = "over/frames"
masks = "labels.tif"
label = 3
scale = { min = 0.8, max = 1.2 }
position = [[0, 0, { min = -9, max = 9 }], [7, 0, 9]]
softness = { any = [0, 1.5] }
[[clip]]
name = "one"
[clip.object]
source = "ball"
pause = 2
[[clip.occluder]]
source = "over/frames"
masks = "masks"
pause = "end"
"""


def described(folder: Path, text: str = DESCRIPTION) -> dict[str, ComposeJob]:
    (folder / "set.toml").write_text(text)
    found = read_description(folder / "set.toml")
    return {one.name: ComposeJob(one, folder / "out") for one in found}


def test_a_description_becomes_clip_folders(sources: Path) -> None:
    jobs = described(sources)
    assert list(jobs) == ["set_0000", "set_0001", "set_0002", "one"]
    for job in jobs.values():
        assert not is_composed(job)
        outcome = compose_clip(job, lambda: False)
        assert outcome.status is Status.DONE, outcome
        assert is_composed(job)
    back = read_tabe51(sources / "out/one")
    assert len(back.clip) == FRAMES + 2
    assert all((back.amodal[f] == OBJECT[min(f, FRAMES - 1)]).all() for f in range(FRAMES + 2))
    assert back.occlusion is not None
    visible = MaskStack((back.visible[f] for f in range(len(back.clip))), HEIGHT, WIDTH)
    amodal = MaskStack((back.amodal[f] for f in range(len(back.clip))), HEIGHT, WIDTH)
    assert back.occlusion == occlusion_of(visible, amodal)
    assert {"NO_OCCLUSION", "SEVERE_OCCLUSION"} <= {o.level.name for o in back.occlusion}


def test_drawn_numbers_follow_from_the_seed_and_the_name_alone(sources: Path) -> None:
    whole = described(sources)
    alone = described(sources, DESCRIPTION.split('[[clip]]\nname = "one"')[0])
    again = {name: job.described.what for name, job in described(sources).items()}
    for name, job in whole.items():
        assert job.described.what == again[name]
    for name, job in alone.items():
        assert job.described.what == again[name]
    scales = {job.described.what["occluder"][0]["scale"] for job in alone.values()}
    assert len(scales) == 3
    assert all(0.8 <= scale <= 1.2 for scale in scales)
    other = described(sources, DESCRIPTION.replace("seed = 4", "seed = 5"))
    assert other["set_0000"].described.what != again["set_0000"]


def test_json_says_the_same(sources: Path) -> None:
    (sources / "set.json").write_text(json.dumps(tomllib.loads(DESCRIPTION)))
    from_json = read_description(sources / "set.json")
    assert [one.what for one in from_json] == [
        j.described.what for j in described(sources).values()
    ]


def test_a_clean_plate_is_a_picture_or_a_clip(sources: Path) -> None:
    background = np.full((HEIGHT, WIDTH, 3), (0, 0, 255), np.uint8)
    PIL.Image.fromarray(background).save(sources / "plate.png")
    (sources / "plates").mkdir()
    PIL.Image.fromarray(background).save(sources / "plates/0.png")
    shown = []
    for plate in ("plate.png", "plates"):
        text = DESCRIPTION.replace('pause = "end"', f'pause = "end"\nplate = "{plate}"')
        job = described(sources, text)["one"]
        job = ComposeJob(job.described, sources / plate.split(".")[0] / "out")
        outcome = compose_clip(job, lambda: False)
        assert outcome.status is Status.DONE, outcome
        shown.append(np.stack(list(read_tabe51(job.target).clip)))
    assert (shown[0] == shown[1]).all()


def test_changed_descriptions_are_composed_or_refused(tmp_path: Path) -> None:
    """A small part of what ``benchmarks/fuzz_compose.py`` does for minutes."""
    fuzz_compose.make_sources(tmp_path / "seed")
    told = set()
    for seed in range(40):
        work = tmp_path / f"work-{seed}"
        work.mkdir()
        told.add(fuzz_compose.one_round(tmp_path / "seed", work, seed))
    assert told == {"refused", "composed", "failed with a reason"}


def test_what_is_composed_of_something_else_is_refused(sources: Path) -> None:
    job = described(sources)["one"]
    compose_clip(job, lambda: False)
    changed = described(sources, DESCRIPTION.replace("pause = 2", "pause = 3"))["one"]
    with pytest.raises(CallError, match="was composed of something else"):
        is_composed(changed)


@pytest.mark.parametrize(
    "changed", ["ball/gt_masks/00003.png", "masks/3.png", "over/frames/00003.jpg"]
)
def test_what_changed_since_is_not_taken_for_done(sources: Path, changed: str) -> None:
    job = described(sources)["one"]
    compose_clip(job, bool)
    assert is_composed(job)
    file = sources / changed
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(CallError, match=r"has changed since.*remove that folder, or replace all"):
        is_composed(job)
    again = ComposeJob(job.described, job.out, overwrite=True)
    assert compose_clip(again, bool).status is Status.DONE
    assert is_composed(job)


def test_another_folders_object_of_the_same_name_is_another(sources: Path, tmp_path: Path) -> None:
    job = described(sources)["one"]
    compose_clip(job, bool)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("ball", "over", "masks"):
        shutil.copytree(sources / name, other / name)
    copied = described(other)["one"].described
    with pytest.raises(CallError, match=r"the source of the object was .*ball, not .*other/ball"):
        is_composed(ComposeJob(copied, job.out))


def test_what_is_left_without_its_sources_or_of_an_older_version_is_done(sources: Path) -> None:
    job = described(sources)["one"]
    compose_clip(job, bool)
    file = job.target / PROVENANCE
    record = json.loads(file.read_text())
    assert record["inputs"]["the masks of occluder 1"]["files"] == FRAMES
    shutil.rmtree(sources / "masks")
    assert is_composed(job)
    del record["inputs"]
    file.write_text(json.dumps(record))
    (sources / "ball/gt_masks/00000.png").unlink()
    assert is_composed(job)


# What an object's and an occluder's own masks show


ALONE = """
[[clip]]
name = "alone"
[clip.object]
source = "half"
"""


@pytest.fixture
def half(sources: Path) -> Path:
    """A clip folder whose object is hidden in part on frames 2 to 4 and on frame 6."""
    visible = OBJECT.copy()
    visible[[2, 3, 4, 6], :, :40] = False
    stacks = MaskStack.from_array(visible), MaskStack.from_array(OBJECT)
    write_tabe51(sources / "half", footage(0, OBJECT).clip, *stacks, occlusion_of(*stacks))
    return sources / "half"


def test_an_object_that_is_hidden_already_is_refused(sources: Path, half: Path) -> None:
    outcome = compose_clip(described(sources, ALONE)["alone"], bool)
    assert outcome.status is Status.FAILED
    assert f"the object of {half} is hidden already in frames 2 to 4, 6, where" in outcome.reason
    assert not (sources / "out/alone").exists()
    outcome = compose_clip(described(sources, ALONE + "first = 5\nlast = 5\n")["alone"], bool)
    assert (outcome.status, outcome.note) == (Status.DONE, ""), outcome
    job = described(sources, ALONE + 'masks = "half/gt_masks"\n')["alone"]
    outcome = compose_clip(ComposeJob(job.described, sources / "told"), bool)
    assert outcome.status is Status.DONE, outcome
    assert (read_tabe51(sources / "told/alone").amodal[2] == OBJECT[2]).all()


def test_the_panel_does_not_write_an_object_that_is_hidden_already(
    sources: Path, half: Path
) -> None:
    job = described(sources, ALONE)["alone"]
    found = compose("alone", footage(0, OBJECT), [])
    with pytest.raises(InputError, match="is hidden already"):
        write_composed(job, found, Watch())
    assert not job.target.exists()


def test_an_object_of_visible_masks_only_is_composed_with_a_note(sources: Path, half: Path) -> None:
    shutil.rmtree(half / "gt_masks")
    (sources / "set.toml").write_text(ALONE.replace('"alone"', '"alone"\ncopies = 2'))
    call = ["compose", str(sources / "set.toml"), "--out", str(sources / "out"), "--workers", "1"]
    told = CliRunner().invoke(app, call)
    assert told.exit_code == 0, told.output
    assert told.stderr.count(f"note: {half} has visible_masks/ only") == 1
    assert "2 done, 0 skipped, 0 failed" in told.stdout


def test_of_an_occluder_only_what_is_seen_of_it_is_laid(sources: Path, half: Path) -> None:
    text = ALONE.replace("half", "ball") + '[[clip.occluder]]\nsource = "half"\nsoftness = 0\n'
    outcome = compose_clip(described(sources, text)["alone"], bool)
    assert outcome.status is Status.DONE, outcome
    back = read_tabe51(sources / "out/alone")
    assert not back.visible[0].any()
    expected = OBJECT[2].copy()
    expected[:, 40:] = False
    assert (back.visible[2] == expected).all()


def test_masks_may_be_tracked_from_one_frame(sources: Path) -> None:
    write_mask(sources / "query.png", OBJECT[0])
    text = DESCRIPTION.replace('masks = "masks"', 'track = "query.png"').replace(
        '"over/frames"\ntrack', '"ball/frames"\ntrack'
    )
    outcome = compose_clip(described(sources, text)["one"], lambda: False)
    assert outcome.status is Status.DONE, outcome
    assert (read_tabe51(sources / "out/one").amodal[0] == OBJECT[0]).all()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("pause = 2", "pause = -2", "pause is -2"),
        ("pause = 2", "pause = 2147483648", "up to 100000"),
        ("pause = 2", "paus = 2", "has the key 'paus'"),
        ("pause = 2", "last = 99", "frames 0 to 99 are not all there"),
        ("pause = 2", "fps = 3", "fps is for videos"),
        ('masks = "masks"', "", "has no masks"),
        ('masks = "masks"', 'masks = "nowhere"', "is no folder of masks"),
        ('masks = "masks"', 'masks = "ball/frames"', "00000.jpg"),
        ('source = "ball"\npause', 'source = "gone"\npause', "there is no file or folder"),
        ('pause = "end"', "scale = 0", "scale is 0, it is 0.01 or more"),
        ('pause = "end"', "scale = [[0, 1], [5, 1e-9]]", "scale is 1e-09, it is 0.01 or more"),
        ('masks = "masks"', 'masks = "labels.tif"\nlabel = 77', "no mask has the label 77"),
        ('"over/frames"\nmasks = "masks"', '"over"', "its masks are empty"),
        ('pause = "end"', "position = 3", "position is 3"),
        ('pause = "end"', "depth = [[5, 1], [2, 1]]", "rising frames"),
        ('pause = "end"', 'plate = "query.png"', "query.png"),
    ],
)
def test_what_is_wrong_is_told(sources: Path, before: str, after: str, told: str) -> None:
    assert before in DESCRIPTION
    outcome = compose_clip(described(sources, DESCRIPTION.replace(before, after))["one"], bool)
    assert outcome.status is Status.FAILED
    assert told in outcome.reason
    assert not (sources / "out/one").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clip = 3", "describes no clip"),
        ("[[clip]]\nname = '../up'\n[clip.object]", "its name is that of a folder"),
        ("[[clip]]\nname = 'a'", "has no .clip.object."),
        ("[[clip]]\nname = 'a'\ncopies = 0\n[clip.object]", "copies is 0"),
        ("seed = -1", "seed is -1"),
        ("what", "is no description"),
        ("[[clip]]\nname='a'\n[clip.object]\nlast={min=3,max=1}", "no range of numbers"),
        ("[[clip]]\nname='a'\n[clip.object]\nlast={min=0,max=1" + "0" * 30 + "}", "no range"),
        ("[[clip]]\nname='a'\n[clip.object]\n[[clip]]\nname='a'\n[clip.object]", "two clips named"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        described(tmp_path, text)


def test_the_command_composes_skips_and_names_what_failed(sources: Path) -> None:
    text = DESCRIPTION + '[[clip]]\nname = "bad"\n[clip.object]\nsource = "nowhere"\n'
    (sources / "set.toml").write_text(text)
    arguments = ["compose", str(sources / "set.toml"), "--out", str(sources / "out")]
    first = CliRunner().invoke(app, [*arguments, "--only", "one"])
    assert first.exit_code == 0, first.output
    assert "1 done, 0 skipped, 0 failed" in first.stdout
    whole = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    assert whole.exit_code == 1
    assert "3 done, 1 skipped, 1 failed" in whole.stdout
    assert "failed: bad: there is no file or folder" in whole.stderr
    wrong = CliRunner().invoke(app, [*arguments, "--only", "nobody"])
    assert wrong.exit_code == 2
