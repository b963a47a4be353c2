"""The stages of the published method, TABE: networks that run best on a GPU."""

from types import MappingProxyType

from napari_amodal.registry import Engine

TABE = Engine(
    name="tabe",
    summary="The published method: SAM 2, depth, video diffusion fitted to the clip (GPU)",
    tracker="sam2",
    reasoner="depth",
    completer="cococo",
)

#: Half the fitting steps, three answers instead of five, and a solver that in 20 steps ends nearer
#: to the exact path than the published one in 50 (`benchmarks/solvers.py`).
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
    reasoner="learned",
    completer="learned",
)
