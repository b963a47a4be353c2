"""``napari-amodal evaluate``: score completed clips against true ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_amodal.cli.console import note, reporting

if TYPE_CHECKING:
    from napari_amodal.evaluation import Scores

#: The figures by their published names, and the attributes of `Scores` that hold them.
_COLUMNS = {
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
) -> None:
    """Score completed clips against true ones."""
    from napari_amodal.evaluation import match_clips, mean_scores, score_clip

    matches = match_clips(pred, gt)
    for side, names in (
        ("prediction", matches.only_in_prediction),
        ("truth", matches.only_in_truth),
    ):
        if names:
            note(f"only in the {side}: {', '.join(names)}")
    scores = {name: score_clip(*pair) for name, pair in matches.pairs.items()}
    if not as_json:
        typer.echo(table(scores))
        return
    found = {
        "clips": {name: _figures(of_clip) for name, of_clip in scores.items()},
        "mean": _figures(mean_scores(list(scores.values()))),
        "only_in_prediction": list(matches.only_in_prediction),
        "only_in_truth": list(matches.only_in_truth),
    }
    typer.echo(json.dumps(found, indent=2))


def table(scores: Mapping[str, Scores]) -> str:
    """Scores by clip as lines of text, with their mean where there are several clips."""
    from napari_amodal.evaluation import mean_scores

    rows = {name: _figures(of_clip) for name, of_clip in scores.items()}
    if len(scores) > 1:
        rows["mean"] = _figures(mean_scores(list(scores.values())))
    width = max(len("clip"), *map(len, rows))
    lines = [" ".join([f"{'clip':<{width}}", *(f"{name:>9}" for name in _COLUMNS)])]
    for name, figures in rows.items():
        cells = ["-" if value is None else f"{value:.4f}" for value in figures.values()]
        lines.append(" ".join([f"{name:<{width}}", *(f"{cell:>9}" for cell in cells)]))
    return "\n".join(lines)


def _figures(scores: Scores) -> dict[str, float | None]:
    return {name: getattr(scores, attribute) for name, attribute in _COLUMNS.items()}
