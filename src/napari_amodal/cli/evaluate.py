"""``napari-amodal evaluate``: score completed clips against true ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_amodal.cli.console import JOB_FAILED, note, reporting, stop_on_interrupt
from napari_amodal.errors import CallError, InputError

if TYPE_CHECKING:
    from napari_amodal.evaluation import ClipScores, Matches, Scored, Scores
    from napari_amodal.report.page import Run

#: The figures by their published names, and the attributes of `Scores` that hold them.
COLUMNS = {
    "mIOU": "miou",
    "mIOUfo": "miou_fo",
    "mIOUffo": "miou_ffo",
    "mIOUocc": "miou_occ",
    "J_visible": "j_visible",
}


@reporting
def evaluate(
    pred: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="Completed clips: a folder of them, or one; our layout or the published one.",
            show_default=False,
        ),
    ],
    gt: Annotated[
        Path,
        typer.Argument(
            metavar="GT",
            help="True clips in the TABE-51 layout: a folder of them, or one.",
            show_default=False,
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(metavar="PRED2", help="Another run to compare with, of the same clips."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a report: one HTML file that opens offline."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one a core.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a report that is there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
) -> None:
    """Score completed clips against true ones."""
    from napari_amodal.evaluation import match_clips

    if report is not None and report.exists() and not overwrite:
        raise CallError(
            f"{report} is there already: choose another file, or replace it (--overwrite)"
        )
    matches = {path: match_clips(path, gt) for path in filter(None, (pred, against))}
    for path, found in matches.items():
        _tell_unmatched(path if against else None, found)
    outcomes = {path: _score(found, workers) for path, found in matches.items()}
    clips = {path: _scores(found) for path, found in outcomes.items()}
    if as_json:
        told = _as_json(clips[pred], matches[pred], outcomes[pred])
        if against is not None:
            told["against"] = _as_json(clips[against], matches[against], outcomes[against])
        typer.echo(json.dumps(told, indent=2))
    else:
        for path, scores in clips.items():
            if against is not None:
                typer.echo(f"{path}")
            typer.echo(table(scores))
    if report is not None:
        from napari_amodal.report.page import write_report

        write_report(report, _runs(clips), gt)
        note(f"the report is {report}")
    _tell_unscored(outcomes)


def _score(matches: Matches, workers: int | None) -> list[Scored]:
    """What became of each clip, in the order of the set."""
    from napari_amodal.evaluation import score_set

    with stop_on_interrupt() as is_cancelled:
        found = {one.name: one for one in score_set(matches.pairs, workers, is_cancelled)}
    return [found[name] for name in matches.pairs]


def _scores(outcomes: Sequence[Scored]) -> dict[str, ClipScores]:
    """The scores of the clips that have some; an error where there is none at all."""
    scores = {one.name: one.scores for one in outcomes if one.scores is not None}
    if not scores:
        first = outcomes[0]
        among = f"; nor can the {len(outcomes) - 1} others" if len(outcomes) > 1 else ""
        raise InputError(f"{first.name} cannot be scored: {first.wrong}{among}")
    return scores


def _tell_unscored(outcomes: Mapping[Path, Sequence[Scored]]) -> None:
    """Name the clips that could not be scored, and end with the status for it."""
    wrong = [one for found in outcomes.values() for one in found if one.wrong]
    for one in wrong:
        note(f"not scored: {one.name}: {one.wrong}")
    if wrong:
        raise typer.Exit(JOB_FAILED)


def _runs(clips: Mapping[Path, Mapping[str, ClipScores]]) -> list[Run]:
    from napari_amodal.report.page import Run

    return [Run(str(path), scores) for path, scores in clips.items()]


def _tell_unmatched(path: Path | None, matches: Matches) -> None:
    for side, names in (
        ("prediction" if path is None else str(path), matches.only_in_prediction),
        ("truth", matches.only_in_truth),
    ):
        if names:
            note(f"only in the {side}: {', '.join(names)}")


def _as_json(
    clips: Mapping[str, ClipScores], matches: Matches, outcomes: Sequence[Scored]
) -> dict[str, Any]:
    from napari_amodal.evaluation import set_scores

    whole = set_scores(clips)
    found: dict[str, Any] = {
        "clips": {name: _figures(clip.spread.mean) for name, clip in clips.items()},
        "mean": _figures(whole.mean),
    }
    if any(len(clip.hypotheses) > 1 for clip in clips.values()):
        found |= {
            "hypotheses": {name: len(clip.hypotheses) for name, clip in clips.items()},
            "std": {name: _figures(clip.spread.deviation) for name, clip in clips.items()},
            "stderr": {name: _figures(clip.spread.error) for name, clip in clips.items()},
            "mean_std": _figures(whole.over_hypotheses.deviation),
            "mean_stderr": _figures(whole.over_hypotheses.error),
        }
    return found | {
        "only_in_prediction": list(matches.only_in_prediction),
        "only_in_truth": list(matches.only_in_truth),
        "not_scored": {one.name: one.wrong for one in outcomes if one.wrong},
    }


def table(clips: Mapping[str, ClipScores]) -> str:
    """Scores by clip as lines of text, with their mean where there are several clips.

    Where a clip has several hypotheses, every mean stands with its standard deviation, and the
    last line is the standard error of the set's means.
    """
    from napari_amodal.evaluation import set_scores

    several = any(len(clip.hypotheses) > 1 for clip in clips.values())
    spreads = {name: clip.spread for name, clip in clips.items()}
    whole = set_scores(clips)
    if len(clips) > 1:
        spreads["mean"] = whole.over_hypotheses
    width = max(len("clip"), len("std error") if several else 0, *map(len, spreads))
    cell = 15 if several else 9
    lines = [" ".join([f"{'clip':<{width}}", *(f"{name:>{cell}}" for name in COLUMNS)])]
    for name, spread in spreads.items():
        pairs = zip(
            _figures(spread.mean).values(), _figures(spread.deviation).values(), strict=True
        )
        cells = [_cell(mean, deviation) for mean, deviation in pairs]
        lines.append(" ".join([f"{name:<{width}}", *(f"{text:>{cell}}" for text in cells)]))
    if several and len(clips) > 1:
        cells = [_cell(value) for value in _figures(whole.over_hypotheses.error).values()]
        lines.append(" ".join([f"{'std error':<{width}}", *(f"{text:>{cell}}" for text in cells)]))
    return "\n".join(lines)


def _cell(mean: float | None, deviation: float | None = None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} ±{deviation:.4f}"


def _figures(scores: Scores) -> dict[str, float | None]:
    return {name: getattr(scores, attribute) for name, attribute in COLUMNS.items()}
