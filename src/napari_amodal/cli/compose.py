"""``napari-amodal compose``: make clips with exact amodal ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_amodal.cli.console import JOB_FAILED, STOPPED, note, reporting, stop_on_interrupt
from napari_amodal.cli.outcomes import Lines, skipped, tell_end
from napari_amodal.errors import CallError, Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_amodal.batch.outcome import Outcome
    from napari_amodal.compose.compose_job import ComposeJob
    from napari_amodal.workers import IsCancelled


@reporting
def compose(
    description: Annotated[
        Path,
        typer.Argument(
            metavar="DESCRIPTION",
            help="A TOML or JSON file that says what is laid over what (docs/compose.md).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write into: DIR/NAME for each clip.", show_default=False
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Compose only this clip; repeatable."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one a core.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Compose again what is there, replacing it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end instead of lines.")
    ] = False,
) -> None:
    """Lay occluders over objects: clips whose amodal masks are exact by construction."""
    from napari_amodal.compose.compose_job import ComposeJob, is_composed
    from napari_amodal.compose.description import read_description

    if not description.is_file():
        raise CallError(f"there is no file {description}")
    jobs = [ComposeJob(one, out.resolve(), overwrite) for one in read_description(description)]
    names = [job.name for job in jobs]
    for name in only or ():
        if name not in names:
            raise CallError(f"--only {name}: {description} describes {', '.join(names[:20])}")
    wanted = [job for job in jobs if not only or job.name in only]
    done = [] if overwrite else [job.name for job in wanted if is_composed(job)]
    left = [job for job in wanted if job.name not in done]
    outcomes = skipped(done)
    lines = None if as_json else Lines([job.name for job in wanted])
    for outcome in _all(outcomes, left, workers, lines):
        outcomes.append(outcome)
    tell_end(outcomes, as_json=as_json)
    if any(outcome.reason for outcome in outcomes):
        raise typer.Exit(JOB_FAILED)


def _all(
    done: list[Outcome], jobs: list[ComposeJob], workers: int | None, lines: Lines | None
) -> Iterator[Outcome]:
    """Show what is done, then do and show the rest."""
    show = lines or (lambda outcome: None)
    for outcome in done:
        show(outcome)
    with stop_on_interrupt() as is_cancelled:
        try:
            for outcome in _composed(jobs, workers, is_cancelled):
                show(outcome)
                yield outcome
        except Cancelled:
            note("stopped; the same call goes on from here")
            raise typer.Exit(STOPPED) from None


def _composed(
    jobs: list[ComposeJob], workers: int | None, is_cancelled: IsCancelled
) -> Iterator[Outcome]:
    from napari_amodal.batch.outcome import Outcome, Status
    from napari_amodal.compose.compose_job import compose_clip
    from napari_amodal.workers import over_processes, usable_cores

    count = workers or min(usable_cores(), len(jobs))
    if count <= 1:
        yield from (compose_clip(job, is_cancelled) for job in jobs)
        return
    for ended in over_processes(compose_clip, jobs, [{}] * count, is_cancelled):
        if ended.result is not None:
            yield ended.result
        else:
            told = str(ended.error).splitlines()[0]
            yield Outcome(ended.job.name, Status.FAILED, reason=told)
