"""Which predicted clip belongs to which true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_amodal.errors import CallError
from napari_amodal.formats.published import find_predictions
from napari_amodal.formats.tabe51 import is_tabe51


@dataclass(frozen=True)
class Prediction:
    """A predicted clip.

    Attributes
    ----------
    folder : pathlib.Path
        The clip's folder.
    hypotheses : tuple of pathlib.Path
        Folders with masks, in the published predictions' layout; empty in ours.
    """

    folder: Path
    hypotheses: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Matches:
    """Predicted and true clips by name, and the names that only one side has."""

    pairs: Mapping[str, tuple[Prediction, Path]]
    only_in_prediction: tuple[str, ...]
    only_in_truth: tuple[str, ...]


def match_clips(prediction: Path, truth: Path) -> Matches:
    """Match two clip folders, or the clip folders in two folders by name.

    Raises
    ------
    CallError
        A path is not there, or the two have no clip in common.
    """
    for path in (prediction, truth):
        if not path.is_dir():
            raise CallError(f"there is no folder {path}: give a clip folder or a folder of them")
    predicted, true = _predictions_in(prediction), _clips_in(truth)
    if is_tabe51(truth) and [found.folder for found in predicted.values()] == [prediction]:
        (only,) = predicted.values()
        return Matches({truth.resolve().name: (only, truth)}, (), ())
    common = sorted(predicted.keys() & true.keys())
    if not common:
        raise CallError(
            f"no clip is in both: {prediction} has {_listed(predicted)}; "
            f"{truth} has {_listed(true)}"
        )
    return Matches(
        {name: (predicted[name], true[name]) for name in common},
        tuple(sorted(predicted.keys() - true.keys())),
        tuple(sorted(true.keys() - predicted.keys())),
    )


def _predictions_in(folder: Path) -> dict[str, Prediction]:
    published = {
        name: Prediction(hypotheses[0].parents[2] if hypotheses else folder / name, hypotheses)
        for name, hypotheses in find_predictions(folder).items()
    }
    ours = {name: Prediction(clip) for name, clip in _clips_in(folder).items()}
    return {**published, **ours}


def _clips_in(folder: Path) -> dict[str, Path]:
    """Clip folders by name: the folder itself, or those in it."""
    if is_tabe51(folder):
        return {folder.resolve().name: folder}
    return {
        path.name: path
        for path in folder.iterdir()
        if not path.name.startswith(".") and is_tabe51(path)  # hidden: a writer was killed
    }


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "no clips"
