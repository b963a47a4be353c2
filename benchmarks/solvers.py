"""How far the solvers end from the exact end of the guided sampling path, by number of steps.

    python benchmarks/solvers.py [--guidance 20]

The pretrained network cannot say what its exact path is; a distribution whose noise prediction is
known in closed form can. Here: mixtures of narrow Gaussians in 256 dimensions, where the prompt
narrows 40 components to 5. The guided prediction, the schedule and the schedulers are the engine's
own. The exact end is taken from DDIM with 500 steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from napari_amodal.tabe.noise import Solver

DIMENSIONS, COMPONENTS, PROMPTED = 256, 40, 5
VIDEOS = 64
#: One step for every other time that the network was trained on.
FINEST = 500


def noise_of(latents: Tensor, signal: Tensor, centres: Tensor, width: float) -> Tensor:
    """The exact noise prediction for a mixture of Gaussians of one width around `centres`."""
    spread = signal * width**2 + (1 - signal)
    offset = latents[:, None] - signal.sqrt() * centres[None]
    share = (-offset.square().sum(2) / (2 * spread)).softmax(1)
    score = -(share[..., None] * offset).sum(1) / spread
    return -(1 - signal).sqrt() * score


def sampled(
    solver: Solver, steps: int, start: Tensor, predict: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    scheduler = solver.scheduler()
    scheduler.set_timesteps(steps)
    latents = start.clone()
    for time in scheduler.timesteps:
        latents = scheduler.step(predict(latents, time), time, latents).prev_sample
    return latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guidance", type=float, default=20.0)
    parser.add_argument("--width", type=float, default=0.3)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(COMPONENTS, DIMENSIONS, generator=generator, dtype=torch.float64)
    start = torch.randn(VIDEOS, DIMENSIONS, generator=generator, dtype=torch.float64)
    signals = Solver.DDIM.scheduler().alphas_cumprod.double()

    def predict(latents: Tensor, time: Tensor) -> Tensor:
        signal = signals[int(time)]
        without = noise_of(latents, signal, centres, args.width)
        with_prompt = noise_of(latents, signal, centres[:PROMPTED], args.width)
        return without + args.guidance * (with_prompt - without)

    exact = sampled(Solver.DDIM, FINEST, start, predict)
    print(f"guidance {args.guidance:g}: relative distance from the exact end, median of {VIDEOS}")
    print(f"{'steps':>6} " + " ".join(f"{solver:>8}" for solver in Solver))
    for steps in (10, 15, 20, 25, 30, 50, 100, 200):
        errors = [
            ((sampled(solver, steps, start, predict) - exact).norm(dim=1) / exact.norm(dim=1))
            .median()
            .item()
            for solver in Solver
        ]
        print(f"{steps:6} " + " ".join(f"{error:8.4f}" for error in errors))


if __name__ == "__main__":
    main()
