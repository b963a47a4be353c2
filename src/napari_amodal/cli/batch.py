"""``napari-amodal batch``: complete every clip of a set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_amodal.cli.console import JOB_FAILED, STOPPED, note, reporting, stop_on_interrupt
from napari_amodal.cli.outcomes import Lines, skipped, tell_end
from napari_amodal.cli.run import Visible
from napari_amodal.errors import CallError, Cancelled, InputError

if TYPE_CHECKING:
    from napari_amodal.batch.clip_job import Method
    from napari_amodal.batch.dataset import Plan
    from napari_amodal.batch.outcome import Outcome
    from napari_amodal.workers import IsCancelled

#: One line of JSON a clip, added to as clips end; in the folder of the batch.
LOG = "napari-amodal-batch.jsonl"


@reporting
def batch(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="A folder of clip folders (TABE-51), each with the mask of a frame at least.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write into: DIR/NAME for each clip.", show_default=False
        ),
    ],
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="An engine, or a mixture TRACKER+REASONER+COMPLETER (see `info`)."
        ),
    ] = "draft",
    visible: Annotated[
        Visible, typer.Option(help="Track the visible masks, or take the clips' own as given.")
    ] = Visible.TRACK,
    device: Annotated[
        str | None,
        typer.Option(help="Where networks run, for all stages that have any: cuda, mps or cpu."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.SETTING=VALUE", help="Change a setting; repeatable."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes on this machine. Default: one for each graphics card, or one."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Run on the workers of this dask.distributed scheduler instead."
        ),
    ] = None,
    hypotheses: Annotated[
        bool,
        typer.Option("--hypotheses", help="Write every hypothesis, too, where there are several."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do again what is done, replacing it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end instead of lines.")
    ] = False,
) -> None:
    """Complete every clip of a set; what is done is skipped, and a failure does not stop it."""
    from napari_amodal.batch.dataset import plan_batch

    if scheduler is not None and workers is not None:
        raise CallError("--workers is for this machine: a --scheduler has its own workers")
    method = _method(engine, visible, device, changes or [])
    plan = plan_batch(dataset, out, method, every_hypothesis=hypotheses, overwrite=overwrite)
    outcomes = skipped(plan.done)
    show = (lambda _: None) if as_json else Lines(plan.names)
    for outcome in outcomes:
        show(outcome)
    if plan.jobs:
        out.mkdir(parents=True, exist_ok=True)
        with stop_on_interrupt() as is_cancelled, (out / LOG).open("a", encoding="utf-8") as log:
            try:
                for outcome in _completed(plan, method, workers, scheduler, is_cancelled):
                    outcomes.append(outcome)
                    show(outcome)
                    log.write(json.dumps(asdict(outcome)) + "\n")
                    log.flush()
            except Cancelled:
                left = len(plan.done) + len(plan.jobs) - len(outcomes)
                note(f"stopped with {left} clips to go; the same call goes on from here")
                raise typer.Exit(STOPPED) from None
    tell_end(outcomes, as_json=as_json)
    if any(outcome.reason for outcome in outcomes):
        raise typer.Exit(JOB_FAILED)


def _method(engine: str, visible: Visible, device: str | None, changes: list[str]) -> Method:
    from napari_amodal.batch.clip_job import Method
    from napari_amodal.cli.overrides import on_device, parse_overrides
    from napari_amodal.registry import find_engine

    chosen = find_engine(engine)
    settings = parse_overrides(chosen, (*on_device(chosen, device), *changes))
    return Method(engine, settings, given=visible is Visible.GIVEN)


def _completed(
    plan: Plan,
    method: Method,
    workers: int | None,
    scheduler: str | None,
    is_cancelled: IsCancelled,
) -> Iterator[Outcome]:
    from napari_amodal.batch.cluster import CARD, complete_on_cluster
    from napari_amodal.batch.local import complete_here, environments_for, runs_on_cards

    if scheduler is not None:
        resource = CARD if runs_on_cards(method) else None
        return complete_on_cluster(
            plan.jobs, scheduler, resource=resource, is_cancelled=is_cancelled, on_note=note
        )
    _check_ready(plan, method)
    return complete_here(plan.jobs, environments_for(method, workers), is_cancelled)


def _check_ready(plan: Plan, method: Method) -> None:
    """Say at once what the engine lacks here: every clip would fail of it."""
    from napari_amodal.engine import lacks
    from napari_amodal.formats.tabe51 import open_tabe51
    from napari_amodal.registry import find_engine

    for job in plan.jobs:
        with suppress(InputError):  # a clip that cannot be opened is named when its turn comes
            clip = open_tabe51(job.clip)
            break
    else:
        return
    found = lacks(find_engine(method.engine), method.settings, clip, tracked=not method.given)
    if found:
        told = "; ".join(lack.told for lack in found)
        raise CallError(f"the engine {method.engine!r} cannot run here: {told}")
