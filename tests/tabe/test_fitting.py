"""Fitting and sampling with tiny networks on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from tiny import write_cococo, write_stable_diffusion  # noqa: E402

from napari_amodal.errors import InputError  # noqa: E402
from napari_amodal.tabe.canvas import CanvasFrames  # noqa: E402
from napari_amodal.tabe.diffusion import Diffusion, load_diffusion  # noqa: E402
from napari_amodal.tabe.fitting import Fitting, fit  # noqa: E402
from napari_amodal.tabe.lora import LoRALinear, merge  # noqa: E402
from napari_amodal.tabe.noise import Solver  # noqa: E402
from napari_amodal.tabe.sampling import NoisePredictor, Sampling, conditions_of, sample  # noqa: E402
from napari_amodal.tabe.training_samples import TrainingPool, samples  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return write_stable_diffusion(folder / "sd"), write_cococo(folder / "cococo.safetensors")


@pytest.fixture
def diffusion(files: tuple[Path, Path]) -> Diffusion:
    return load_diffusion(*files, CPU, torch.float32)


@pytest.fixture
def pool() -> TrainingPool:
    """A dark disc that moves over white."""
    rows, columns = np.mgrid[:72, :72]
    visible = np.stack([np.hypot(rows - 35, columns - 25 - t) < 12 for t in range(14)])
    pixels = np.where(visible[..., None], np.uint8(60), np.uint8(255)).repeat(3, axis=3)
    return TrainingPool(pixels, visible, np.ones(14, np.bool_), (tuple(range(14)),))


def trained(fitting: Fitting) -> torch.Tensor:
    return torch.cat([matrix.detach().flatten() for matrix in fitting.trained])


def test_a_fit_trains_the_adaptation_alone_and_repeats(
    files: tuple[Path, Path], pool: TrainingPool
) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        fitting = Fitting(load_diffusion(*files, CPU, torch.float32), pool)
        frozen = fitting.diffusion.unet.conv_in.weight.clone()
        before = trained(fitting)
        fit(fitting, steps=2, seed=42, on_step=lambda: None)
        assert not torch.equal(trained(fitting), before)
        assert torch.equal(fitting.diffusion.unet.conv_in.weight, frozen)
        found.append(trained(fitting))
    torch.testing.assert_close(*found)


def test_checkpointing_changes_nothing(files: tuple[Path, Path], pool: TrainingPool) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(7)
        fitting = Fitting(
            load_diffusion(*files, CPU, torch.float32), pool, checkpointing=checkpointing
        )
        fitting.show(next(samples(pool, 3)))
        for network in (fitting.diffusion.unet, fitting.diffusion.text_encoder):
            network.train()
        fitting.loss().backward()
        gradients.append(
            torch.cat([m.grad.flatten() for m in fitting.trained if m.grad is not None])
        )
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)


def test_merging_keeps_what_was_fitted(diffusion: Diffusion, pool: TrainingPool) -> None:
    fitting = Fitting(diffusion, pool)
    fit(fitting, steps=1, seed=1, on_step=lambda: None)
    layers = [m for m in diffusion.unet.modules() if isinstance(m, LoRALinear)]
    fitting.spread()
    x = torch.randn(3, layers[0].frozen.in_features)
    expected = layers[0](x)
    plain = layers[0].merged()
    torch.testing.assert_close(plain(x), expected)
    merge(diffusion.unet)
    assert not any(isinstance(m, LoRALinear) for m in diffusion.unet.modules())


@pytest.mark.parametrize("solver", Solver)
def test_a_video_follows_from_its_seed(diffusion: Diffusion, solver: Solver) -> None:
    hidden = np.zeros((3, 64, 64), np.bool_)
    hidden[1, 10:40, 10:40] = True
    frames = CanvasFrames(np.full((3, 64, 64, 3), 255, np.uint8), ~hidden, hidden)
    given = conditions_of(diffusion, frames, seed=0)
    settings = Sampling(steps=3, solver=solver)
    predict = NoisePredictor(diffusion, guidance=2.0)
    steps: list[int] = []
    first, again, other = (
        sample(predict, given, settings, seed, lambda: steps.append(1)) for seed in (4, 4, 5)
    )
    assert first.shape == (3, 4, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(steps) == 9
    assert diffusion.decode(first).shape == (3, 64, 64, 3)


def test_files_that_are_something_else_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder of Stable Diffusion"):
        load_diffusion(tmp_path, files[1], CPU, torch.float32)
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"not safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors does not hold"):
        load_diffusion(files[0], other, CPU, torch.float32)
