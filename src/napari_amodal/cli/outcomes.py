"""How the clips of a set ended, one line a clip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from napari_amodal.cli.console import note

if TYPE_CHECKING:
    from napari_amodal.batch.outcome import Outcome


def skipped(names: Iterable[str]) -> list[Outcome]:
    """The outcomes of clips that are there already."""
    from napari_amodal.batch.outcome import Outcome, Status

    return [Outcome(name, Status.SKIPPED) for name in names]


class Lines:
    """Prints one line a clip."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names))
        self._total = len(names)
        self._count = 0

    def __call__(self, outcome: Outcome) -> None:
        self._count += 1
        place = f"{self._count:>{len(str(self._total))}}/{self._total}"
        typer.echo(f"{place} {outcome.clip:<{self._width}} {outcome.status:<7} {_told(outcome)}")


def _told(outcome: Outcome) -> str:
    if outcome.reason:
        return outcome.reason
    if not outcome.frames:
        return "is there already"
    pace = outcome.frames / outcome.seconds
    return f"{outcome.frames} frames in {outcome.seconds:.1f} s, {pace:.1f} a second"


def tell_end(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print how many clips ended how, and name those that failed."""
    from napari_amodal.batch.outcome import Status

    count = {status: sum(one.status is status for one in outcomes) for status in Status}
    if as_json:
        clips = [{k: v for k, v in asdict(one).items() if k != "trace"} for one in outcomes]
        typer.echo(json.dumps({"clips": clips, **{str(s): n for s, n in count.items()}}, indent=2))
    else:
        typer.echo(", ".join(f"{number} {status}" for status, number in count.items()))
    for told in dict.fromkeys(one.note for one in outcomes if one.note):  # of copies only once
        note(f"note: {told}")
    for one in outcomes:
        if one.reason:
            note(f"failed: {one.clip}: {one.reason}")
