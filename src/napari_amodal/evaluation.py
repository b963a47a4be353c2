"""Scoring clip folders against true ones, one clip in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from napari_amodal.clip import Clip
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.published import find_predictions, read_prediction
from napari_amodal.formats.tabe51 import is_tabe51, read_tabe51
from napari_amodal.levels import OcclusionLevel, occlusion_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.metrics import amodal_scores, visible_score


@dataclass(frozen=True)
class Scores:
    """The figures of one clip, or their means; None where a figure is not defined.

    Attributes
    ----------
    miou, miou_fo, miou_ffo, miou_occ : float or None
        Mean IoU of the amodal masks over all frames, over occluded and over fully occluded ones,
        and of the hidden part (see `napari_amodal.metrics`).
    j_visible : float or None
        Mean IoU of the visible masks, the query frame left out.
    """

    miou: float | None
    miou_fo: float | None
    miou_ffo: float | None
    miou_occ: float | None
    j_visible: float | None


_NO_SCORES = Scores(None, None, None, None, None)


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
    return {path.name: path for path in folder.iterdir() if is_tabe51(path)}


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "no clips"


def score_clip(prediction: Prediction, truth: Path) -> Scores:
    """Score one predicted clip.

    Several hypotheses are scored one by one and averaged, as in the published evaluation; the
    published layout has no visible masks and so no `j_visible`. A true clip without ``gt_masks/``
    defines no figure of amodal masks.

    Raises
    ------
    InputError
        Masks of some frames are missing, or the two clips are not of one size.
    """
    true = _read_truth(truth)
    if is_tabe51(prediction.folder):
        return _score_ours(prediction.folder, true)
    if not prediction.hypotheses:
        raise InputError(f"{prediction.folder}/final_outputs holds no folder with masks")
    return mean_scores([_score_published(masks, true) for masks in prediction.hypotheses])


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of each figure over the scores that have it."""

    def mean(name: str) -> float | None:
        values = [value for one in scores if (value := getattr(one, name)) is not None]
        return fmean(values) if values else None

    return Scores(**{field.name: mean(field.name) for field in fields(Scores)})


@dataclass(frozen=True)
class _Truth:
    """What is known of a true clip; a natural one has no amodal masks, a new one neither."""

    amodal: MaskStack | None
    visible: MaskStack | None
    levels: tuple[OcclusionLevel, ...]


def _read_truth(folder: Path) -> _Truth:
    read = read_tabe51(folder)
    if not read.amodal:
        whole = len(read.visible) == len(read.clip)
        return _Truth(None, _whole(read.visible, read.clip, folder) if whole else None, ())
    amodal = _whole(read.amodal, read.clip, folder / "gt_masks")
    visible = _whole(read.visible, read.clip, folder / "visible_masks")
    occlusion = read.occlusion or occlusion_of(visible, amodal)
    return _Truth(amodal, visible, tuple(frame.level for frame in occlusion))


def _score_ours(folder: Path, true: _Truth) -> Scores:
    read = read_tabe51(folder)
    scores = _NO_SCORES
    if true.amodal is not None:
        scores = _amodal_scores(folder, _whole(read.amodal, read.clip, folder / "gt_masks"), true)
    if true.visible is None or len(read.visible) < len(read.clip):
        return scores
    visible = _whole(read.visible, read.clip, folder / "visible_masks")
    _check_same_clip(folder, visible, true.visible)
    found = visible_score(visible, true.visible, _query_frames(read.provenance))
    return replace(scores, j_visible=found)


def _score_published(folder: Path, true: _Truth) -> Scores:
    if true.amodal is None:
        return _NO_SCORES
    masks = read_prediction(folder)
    height, width = masks.size
    amodal = _whole_stack(masks, len(true.levels), height, width, folder)
    return _amodal_scores(folder, amodal, true)


def _amodal_scores(folder: Path, amodal: MaskStack, true: _Truth) -> Scores:
    assert true.amodal is not None
    assert true.visible is not None
    _check_same_clip(folder, amodal, true.amodal)
    found = amodal_scores(amodal, true.amodal, true.visible, true.levels)
    return Scores(found.all_frames, found.occluded, found.fully_occluded, found.hidden_part, None)


def _check_same_clip(folder: Path, predicted: MaskStack, true: MaskStack) -> None:
    if predicted.shape != true.shape:
        raise InputError(
            f"{folder} has {_described(predicted)}, the truth has {_described(true)}: "
            "they are not of the same clip"
        )


def _described(stack: MaskStack) -> str:
    return f"{len(stack)} masks of {stack.width}x{stack.height}"


def _whole(masks: Mapping[int, Mask], clip: Clip, folder: Path) -> MaskStack:
    return _whole_stack(masks, len(clip), clip.height, clip.width, folder)


def _whole_stack(
    masks: Mapping[int, Mask], frames: int, height: int, width: int, folder: Path
) -> MaskStack:
    for frame in range(frames):
        if frame not in masks:
            raise InputError(
                f"{folder} has {len(masks)} masks for {frames} frames, frame {frame} has none: "
                "scoring needs one for every frame"
            )
    return MaskStack((masks[frame] for frame in range(frames)), height, width)


def _query_frames(provenance: Mapping[str, Any] | None) -> frozenset[int]:
    """The frames that the annotator painted, as ``napari-amodal.json`` has them."""
    if provenance is None:
        return frozenset()
    several = provenance.get("query_frames")
    named = [*several] if isinstance(several, list) else []
    named.append(provenance.get("query_frame"))
    return frozenset(frame for frame in named if isinstance(frame, int))
