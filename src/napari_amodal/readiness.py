"""What a stage still lacks on this machine, packages and weights, each with the command for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from napari_amodal.clip import Clip
from napari_amodal.stages import NeededWeight, ReadsWeights
from napari_amodal.weights.store import holding, why_not


@dataclass(frozen=True)
class Lack:
    """One thing that is not here.

    Attributes
    ----------
    told : str
        What it is, and how to get it.
    weight : str
        Its name in the catalogue of weights; empty for anything else.
    """

    told: str
    weight: str = ""


def weights_lacking(stage: ReadsWeights, clip: Clip | None = None) -> tuple[Lack, ...]:
    """The weights that a stage reads, as it is set, and that are not here.

    Parameters
    ----------
    stage : ReadsWeights
    clip : Clip, optional
        The clip that it is to work on; without it, weights that only some clips need are named too.

    Raises
    ------
    CallError
        A setting names weights that nobody knows.
    """
    return tuple(lack for need in stage.weights(clip) for lack in _lack_of_weight(need))


def _lack_of_weight(need: NeededWeight) -> tuple[Lack, ...]:
    held = holding(need.name)
    if held.path is not None:
        return ()
    told = why_not(held) + (f" (not needed where {need.unless})" if need.unless else "")
    return (Lack(told, need.name),)


def missing_packages(*names: str) -> tuple[str, ...]:
    """Those of the networks' packages that are not installed, with the remedy."""
    return tuple(
        f"{name} is not installed: pip install 'napari-amodal[gpu]'"
        for name in names
        if find_spec(name) is None
    )
