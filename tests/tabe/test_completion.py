"""The whole completer with tiny random networks: what it keeps, repeats, reports and caches."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from safetensors.torch import save_file  # noqa: E402
from tiny import write_weights  # noqa: E402
from tiny_sam2 import disc, moving_disc  # noqa: E402

from napari_amodal.boxes import box_of  # noqa: E402
from napari_amodal.clip import Clip, clip_from_array  # noqa: E402
from napari_amodal.engine import run  # noqa: E402
from napari_amodal.errors import CallError, Cancelled, InputError  # noqa: E402
from napari_amodal.levels import FrameOcclusion, level_of  # noqa: E402
from napari_amodal.masks import MaskStack  # noqa: E402
from napari_amodal.progress import Progress, Watch  # noqa: E402
from napari_amodal.readiness import weights_lacking  # noqa: E402
from napari_amodal.registry import find_engine  # noqa: E402
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack  # noqa: E402
from napari_amodal.tabe import fitted_model, generation  # noqa: E402
from napari_amodal.tabe.diffusion_completer import (  # noqa: E402
    DiffusionCompleter,
    DiffusionSettings,
)
from napari_amodal.tabe.fit_cache import fits_folder  # noqa: E402

FRAMES = 5
HIDDEN = (2, 3)
FEW = {"hypotheses": 2, "fit_steps": 1, "sampling_steps": 2, "size": 128, "device": "cpu"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def places(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(weights))
    monkeypatch.setenv("NAPARI_AMODAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def clip() -> Clip:
    return clip_from_array(moving_disc(FRAMES))


def track(clip: Clip) -> VisibleTrack:
    """The disc, its right half hidden in some frames."""
    masks = []
    for frame in range(FRAMES):
        mask = disc(frame)
        box = box_of(mask)
        assert box is not None
        if frame in HIDDEN:
            mask[:, (box.x0 + box.x1) // 2 :] = False
        masks.append(mask)
    return VisibleTrack(MaskStack(masks, clip.height, clip.width), np.ones(FRAMES, np.float32))


def occlusion(clip: Clip, visible: MaskStack, *, everywhere: bool = False) -> Occlusion:
    whole = [disc(frame) for frame in range(FRAMES)]
    hidden = [mask & ~seen for mask, seen in zip(whole, visible, strict=True)]
    amounts = [0.4 if everywhere else h.sum() / m.sum() for h, m in zip(hidden, whole, strict=True)]
    frames = tuple(FrameOcclusion(level_of(a), float(a)) for a in amounts)
    boxes = tuple(box_of(mask) for mask in whole)
    return Occlusion(frames, boxes, MaskStack(hidden, clip.height, clip.width))


def complete(
    clip: Clip, query: Query | None = None, watch: Watch | None = None, **settings: object
) -> tuple[Hypothesis, ...]:
    seen = track(clip)
    stage = DiffusionCompleter(DiffusionSettings(**{**FEW, **settings}))
    found = stage.complete(
        clip,
        {7: query or Query({0: disc(0)})},
        {7: seen},
        {7: occlusion(clip, seen.masks)},
        watch or Watch(),
    )
    return found[7]


def test_hypotheses_hold_what_is_seen_and_change_only_hidden_frames(clip: Clip) -> None:
    heard: list[Progress] = []
    watch = Watch(heard.append)
    watch.enter("Generating", 0, 1)
    found = complete(clip, watch=watch)
    assert len(found) == 2
    assert found[0].score >= found[1].score
    visible = track(clip).masks
    for hypothesis in found:
        for frame in range(FRAMES):
            assert not (visible[frame] & ~hypothesis.amodal[frame]).any()
            if frame not in HIDDEN:
                assert (hypothesis.amodal[frame] == visible[frame]).all()
    assert heard[-1].done == heard[-1].total
    done = [progress.done for progress in heard]
    assert done == sorted(done)
    assert {p.mask.frame for p in heard if p.mask is not None} == set(HIDDEN)


def test_the_same_seed_gives_the_same_masks_and_a_kept_fit_as_well(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = complete(clip)
    assert len(list(fits_folder().glob("*.safetensors"))) == 1
    monkeypatch.setattr(fitted_model, "fit", None)  # a second fit would fail
    again = complete(clip)
    assert [h.amodal for h in first] == [h.amodal for h in again]


def test_other_settings_are_another_fit(clip: Clip) -> None:
    complete(clip, hypotheses=1)
    complete(clip, hypotheses=1, fit_steps=2)
    assert len(list(fits_folder().glob("*.safetensors"))) == 2


def test_the_annotators_own_amodal_masks_are_kept(clip: Clip) -> None:
    drawn = disc(2)
    found = complete(clip, Query({0: disc(0)}, {2: drawn}), hypotheses=1)
    assert (found[0].amodal[2] == drawn).all()


def test_nothing_hidden_needs_no_network(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", "/nowhere")
    masks = MaskStack([disc(t) for t in range(FRAMES)], clip.height, clip.width)
    seen = VisibleTrack(masks, np.ones(FRAMES, np.float32))
    stage = DiffusionCompleter(DiffusionSettings(**FEW))
    found = stage.complete(
        clip, {1: Query({0: disc(0)})}, {1: seen}, {1: occlusion(clip, masks)}, Watch()
    )
    assert found[1][0].amodal == masks


def test_an_object_that_is_never_nearly_whole_is_refused(clip: Clip) -> None:
    seen = track(clip)
    stage = DiffusionCompleter(DiffusionSettings(**FEW))
    hidden = occlusion(clip, seen.masks, everywhere=True)
    with pytest.raises(InputError, match="no frame shows object 3 nearly whole"):
        stage.complete(clip, {3: Query({0: disc(0)})}, {3: seen}, {3: hidden}, Watch())


def test_missing_weights_name_the_command(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", "/nowhere")
    lacks = [lack.told for lack in weights_lacking(DiffusionCompleter(DiffusionSettings()))]
    for command in ("fetch stable-diffusion-inpainting", "import cococo", "fetch sam2.1-large"):
        assert any(f"napari-amodal weights {command}" in lack for lack in lacks), lacks
    with pytest.raises(CallError, match="napari-amodal weights fetch stable-diffusion-inpainting"):
        complete(clip)


def test_a_run_can_be_cancelled(clip: Clip) -> None:
    steps: list[Progress] = []
    watch = Watch(steps.append, lambda: len(steps) > 2)
    with pytest.raises(Cancelled):
        complete(clip, watch=watch)


def test_a_kept_fit_that_is_something_else_is_made_again(clip: Clip) -> None:
    first = complete(clip, hypotheses=1)
    (kept,) = fits_folder().glob("*.safetensors")
    for content in ({"other": torch.zeros(3)}, {"0": torch.zeros(3), "1": torch.zeros(2)}):
        save_file(content, kept)
        assert complete(clip, hypotheses=1)[0].amodal == first[0].amodal
    kept.write_bytes(b"half a fi")
    assert complete(clip, hypotheses=1)[0].amodal == first[0].amodal


def test_what_killed_runs_began_is_dropped_in_time(clip: Clip) -> None:
    fits_folder().mkdir(parents=True)
    old, new = (fits_folder() / f".{name}.partial-7" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    complete(clip, hypotheses=1)
    assert not old.exists() and new.exists()


def test_a_device_that_is_not_here_is_told_before_the_run_begins(
    clip: Clip, tmp_path: Path
) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    heard: list[Progress] = []
    engine = find_engine("flow+outline+cococo")
    with pytest.raises(CallError, match="there is no mps device on this machine"):
        run(
            clip,
            {1: Query({0: disc(0)})},
            engine,
            settings={"cococo": {"device": "mps", "readout": "sam2.1-large"}},
            on_progress=heard.append,
        )
    assert not heard
    with pytest.raises(CallError, match="the weights of SAM 2 are not there"):
        run(
            clip,
            {1: Query({0: disc(0)})},
            find_engine("sam2+outline+shape"),
            settings={"sam2": {"weights": str(tmp_path / "nowhere")}},
            on_progress=heard.append,
        )
    assert not heard


def test_reading_beside_the_sampling_finds_the_same(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CUDA device, without its streams."""
    expected = complete(clip, hypotheses=3)
    monkeypatch.setattr(fitted_model.Means, "beside", True)
    monkeypatch.setattr(generation, "cancelled_soon", lambda *_: nullcontext())
    heard: list[Progress] = []
    watch = Watch(heard.append)
    watch.enter("Generating", 0, 1)
    found = complete(clip, watch=watch, hypotheses=3)
    assert [h.amodal for h in found] == [h.amodal for h in expected]
    done = [progress.done for progress in heard]
    assert done == sorted(done) and done[-1] == heard[-1].total
    assert {p.mask.frame for p in heard if p.mask is not None} == set(HIDDEN)


def test_a_hypothesis_that_is_read_when_memory_ends_is_kept(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = generation.sample, []

    def failing(*args: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(*args)

    monkeypatch.setattr(fitted_model.Means, "beside", True)
    monkeypatch.setattr(generation, "cancelled_soon", lambda *_: nullcontext())
    monkeypatch.setattr(generation, "sample", failing)
    assert len(complete(clip, hypotheses=4)) == 2
