"""The noise schedule of the published model, and the solvers that sample along it.

Linear betas 0.00085..0.012 over 1000 steps, steps offset 1, epsilon prediction, no clipping
(reference page, section 6).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "steps_offset": 1,
    "prediction_type": "epsilon",
}


class Solver(StrEnum):
    """How to get from noise to latents.

    ``DDIM`` (arXiv 2010.02502) is the published one, of first order. ``DPM`` is DPM-Solver++ (arXiv
    2211.01095), of second order, with steps spaced as in arXiv 2206.00364 (both matter:
    ``benchmarks/solvers.py``): it ends nearer to the exact path in 20 steps than DDIM in 50.
    """

    DDIM = "ddim"
    DPM = "dpm"

    def scheduler(self) -> Any:
        """A new diffusers scheduler."""
        if self is Solver.DDIM:
            return DDIMScheduler(**_SCHEDULE, clip_sample=False)
        return DPMSolverMultistepScheduler(**_SCHEDULE, solver_order=2, use_karras_sigmas=True)
