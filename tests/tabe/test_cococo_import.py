"""CoCoCo's checkpoint: from four pickle files to one safetensors file, and none of their code."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from napari_amodal.errors import CallError, Cancelled, InputError  # noqa: E402
from napari_amodal.progress import Progress, Watch  # noqa: E402
from napari_amodal.tabe.cococo_import import expected_shapes, import_cococo  # noqa: E402
from napari_amodal.tabe.unet_file import UNetShape, load_unet  # noqa: E402
from napari_amodal.tabe.weight_import import import_weight  # noqa: E402
from napari_amodal.weights import locate, require  # noqa: E402
from napari_amodal.weights.store import check, holding  # noqa: E402

SHAPE = UNetShape((32, 32, 32, 32), 1, 16, 2, 2)
PREFIX = "unet.module."

Weights = dict[str, torch.Tensor]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "store"
    monkeypatch.setenv("NAPARI_AMODAL_WEIGHTS", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return folder


@pytest.fixture(scope="module")
def weights() -> Weights:
    generator = torch.Generator().manual_seed(0)
    shapes = expected_shapes(SHAPE)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def write_checkpoint(folder: Path, weights: Weights, *, zipped: bool = True) -> Path:
    """The four files as published: prefixed keys, with the position encodings among them."""
    folder.mkdir()
    keys = sorted(weights)
    for index in range(4):
        part = {PREFIX + key: weights[key] for key in keys[index::4]}
        stem = f"{PREFIX}down_blocks.{index}.motion_modules.0.temporal_transformer"
        encoder = "transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
        part[f"{stem}.{encoder}"] = torch.zeros(1, 64, 32)
        file = folder / f"model_{index}.pth"
        torch.save(part, file, _use_new_zipfile_serialization=zipped)
    return folder


def stored_in(file: Path) -> Weights:
    with safe_open(file, "pt") as opened:
        return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


def test_the_list_of_keys_is_the_published_one(shared: Path) -> None:
    published = json.loads((shared / "reference" / "cococo_unet_keys.json").read_text())
    found = expected_shapes(UNetShape())
    assert {key: list(shape) for key, shape in found.items()} == published


@pytest.mark.parametrize("zipped", [True, False])
def test_four_files_become_one(store: Path, tmp_path: Path, weights: Weights, zipped: bool) -> None:
    source = write_checkpoint(tmp_path / "published", weights, zipped=zipped)
    seen: list[Progress] = []
    file = import_cococo([source], Watch(seen.append), shape=SHAPE)
    assert file == require("cococo") and file.suffix == ".safetensors"
    found = stored_in(file)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    with safe_open(file, "pt") as opened:
        hashes = json.loads(opened.metadata()["sources"])
    assert sorted(Path(name).name for name in hashes) == [f"model_{i}.pth" for i in range(4)]
    assert check(holding("cococo")) == []
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1

    unet = load_unet(file, torch.device("cpu"), torch.float32)  # as the engine reads it
    assert torch.equal(unet.state_dict()["conv_in.weight"], weights["conv_in.weight"])


def test_a_part_of_the_network_goes_over_stable_diffusions(
    store: Path, tmp_path: Path, weights: Weights
) -> None:
    """Files with the motion modules and one other layer; the rest is Stable Diffusion's."""
    spatial = {key: value for key, value in weights.items() if ".motion_modules." not in key}
    trained = {key: value for key, value in weights.items() if ".motion_modules." in key}
    trained["conv_in.weight"] = weights["conv_in.weight"] + 1
    source = write_checkpoint(tmp_path / "published", trained)
    with pytest.raises(CallError, match="weights fetch stable-diffusion-inpainting, then import"):
        import_cococo([source], Watch(), shape=SHAPE)
    assert locate("cococo") is None

    unet = tmp_path / "diffusion" / "unet"
    unet.mkdir(parents=True)
    save_file(spatial, unet / "diffusion_pytorch_model.safetensors")
    file = import_cococo([source], Watch(), inpainting_unet=unet, shape=SHAPE)
    found = stored_in(file)
    assert all(torch.equal(found[key], (spatial | trained)[key]) for key in weights)


def test_what_is_wrong_is_said(store: Path, tmp_path: Path, weights: Weights) -> None:
    def refused(number: int, weights: Weights) -> str:
        source = write_checkpoint(tmp_path / f"wrong{number}", weights)
        with pytest.raises(InputError) as caught:
            import_cococo([source], Watch(), shape=SHAPE)
        assert locate("cococo") is None and list(store.iterdir()) == []
        return str(caught.value)

    motion = next(key for key in weights if ".motion_modules." in key)
    lacking = {key: value for key, value in weights.items() if key != motion}
    assert f"1 of {len(weights)} tensors are missing" in refused(0, lacking)
    assert motion in refused(1, lacking)
    strange = weights | {"up_blocks.9.hyper.weight": torch.zeros(1)}
    assert re.search(
        r"none of CoCoCo's: up_blocks\.9\.hyper\.weight in model_\d", refused(2, strange)
    )
    # Only position encodings may be left out, not all that has "pe" in its name.
    speed = weights | {"speed_embedding.weight": torch.zeros(1)}
    assert "speed_embedding.weight" in refused(3, speed)
    reshaped = weights | {"conv_in.weight": torch.zeros(32, 4, 3, 3)}
    assert "conv_in.weight is 32 x 4 x 3 x 3" in refused(4, reshaped)
    assert "CoCoCo's is 32 x 9 x 3 x 3" in refused(5, reshaped)
    whole = weights | {"conv_in.bias": torch.zeros(32, dtype=torch.int64)}
    assert "conv_in.bias" in refused(6, whole)


def test_files_that_are_not_there_or_not_whole(
    store: Path, tmp_path: Path, weights: Weights
) -> None:
    source = write_checkpoint(tmp_path / "published", weights)
    (source / "model_2.pth").rename(source / "model_2.pth.part")
    with pytest.raises(CallError, match=r"model_2\.pth: not there; CoCoCo's checkpoint is"):
        import_weight("cococo", [source], Watch())
    half = (source / "model_2.pth.part").read_bytes()
    (source / "model_2.pth").write_bytes(half[: len(half) // 2])
    with pytest.raises(InputError, match=r"model_2\.pth"):
        import_cococo([source], Watch(), shape=SHAPE)
    torch.save([1, 2], source / "model_2.pth")
    with pytest.raises(InputError, match=r"model_2\.pth is not a table of tensors"):
        import_cococo([source], Watch(), shape=SHAPE)


class Malicious:
    """What an attacker puts into a pickle: it makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(
    store: Path, tmp_path: Path, weights: Weights, zipped: bool
) -> None:
    source = write_checkpoint(tmp_path / "published", weights)
    trace = tmp_path / "trace"
    bad = {"module.conv_in.weight": Malicious(trace)}
    torch.save(bad, source / "model_1.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        InputError, match=r"model_1\.pth is broken, or holds more than tensors, and was"
    ):
        import_cococo([source], Watch(), shape=SHAPE)
    assert not trace.exists()
    torch.load(source / "model_1.pth", weights_only=False)
    assert trace.exists()  # so the test would have seen it


def test_cancelled_and_done_again(store: Path, tmp_path: Path, weights: Weights) -> None:
    source = write_checkpoint(tmp_path / "published", weights)
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        watch = Watch(seen.append, lambda: bool(seen) and seen[-1].fraction > 0.8)
        import_cococo([source], watch, shape=SHAPE)
    assert locate("cococo") is None and list(store.iterdir()) == []
    import_cococo([source], Watch(), shape=SHAPE)
    with pytest.raises(CallError, match="is there already: say --replace"):
        import_cococo([source], Watch(), shape=SHAPE)
    import_cococo([source], Watch(), shape=SHAPE, replace=True)
