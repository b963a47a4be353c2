"""The stages of the published method, TABE: networks that run best on a GPU."""

from types import MappingProxyType

from napari_amodal.registry import Engine

TABE = Engine(
    name="tabe",
    summary="The published method: SAM 2, depth, and a video diffusion model fitted to the clip (GPU)",
    tracker="sam2",
    reasoner="depth",
    completer="cococo",
)

#: Half the fitting steps, and a second-order solver, whose error at 20 steps is that of the published
#: first-order one at 50 or less (`benchmarks/solvers.py`); three answers instead of five.
TABE_FAST = Engine(
    name="tabe-fast",
    summary="The published method with fewer steps, a better solver and three hypotheses (GPU)",
    tracker="sam2",
    reasoner="depth",
    completer="cococo",
    settings=MappingProxyType(
        {
            "cococo": MappingProxyType(
                {"hypotheses": 3, "fit_steps": 250, "sampling_steps": 20, "solver": "dpm"}
            )
        }
    ),
)

SAM2_DRAFT = Engine(
    name="sam2-draft",
    summary="SAM 2 tracks what is seen, the draft completes it: seconds, not minutes",
    tracker="sam2",
    reasoner="outline",
    completer="shape",
)
