"""``napari-amodal weights``: what the networks need, whether it is there, and getting it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_amodal.cli.console import (
    JOB_FAILED,
    STOPPED,
    note,
    progress_shown,
    reporting,
    stop_on_interrupt,
)
from napari_amodal.errors import CallError, Cancelled

if TYPE_CHECKING:
    from napari_amodal.weights.catalogue import Weight
    from napari_amodal.weights.store import Holding

weights = typer.Typer(
    help="The networks' weights: what there is, and getting them. Only `fetch` uses the network.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
_Replace = Annotated[bool, typer.Option(help="Replace what is there under this name.")]


@weights.command("list")
@reporting
def list_weights(
    as_json: _AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read all files and compare them with their hashes.")
    ] = False,
) -> None:
    """Show all weights: who needs them, size, licence, source, and where they lie."""
    from napari_amodal.weights.store import check as check_files
    from napari_amodal.weights.store import folders, holdings

    found = holdings()
    wrong = {held.weight.name: check_files(held) if check else [] for held in found}
    if as_json:
        typer.echo(json.dumps([_record(held, wrong[held.weight.name]) for held in found], indent=2))
    else:
        note(f"searched: {', '.join(map(str, folders()))}, and the Hugging Face cache")
        for held in found:
            _show(held, wrong[held.weight.name])
    if any(wrong.values()):
        raise typer.Exit(JOB_FAILED)


@weights.command("fetch")
@reporting
def fetch_weights(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="See `weights list`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licences, do not ask.")] = False,
    repository: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Another repository of the hub, of same layout."),
    ] = None,
    replace: _Replace = False,
    as_json: _AsJson = False,
) -> None:
    """Fetch weights from the Hugging Face Hub, after asking."""
    from napari_amodal.progress import Watch
    from napari_amodal.weights.catalogue import find_weight
    from napari_amodal.weights.fetch import check_fetchable, fetch
    from napari_amodal.weights.store import holding

    if repository is not None and len(names) > 1:
        raise CallError("--repository goes with one name")
    wanted = [find_weight(name) for name in names]
    if not replace:
        wanted = [weight for weight in wanted if not _is_there(holding(weight.name))]
    for weight in wanted:
        check_fetchable(weight)
    if wanted and not yes:
        _ask(wanted, repository)
    try:
        for weight in wanted:
            with stop_on_interrupt() as is_cancelled, progress_shown() as show:
                fetch(weight, Watch(show, is_cancelled), repository=repository, replace=replace)
    except Cancelled:
        note("stopped; what has come is kept, run the same command to go on")
        raise typer.Exit(STOPPED) from None
    for name in names:
        _tell(holding(name), as_json)


@weights.command("import")
@reporting
def import_weights(
    name: Annotated[str, typer.Argument(help="What it is, by `weights list`.")],
    files: Annotated[list[Path], typer.Argument(metavar="FOLDER_OR_FILES...")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy a folder's files instead of linking to them.")
    ] = False,
    replace: _Replace = False,
    as_json: _AsJson = False,
) -> None:
    """Take weights that you have: CoCoCo's .pth files, SAM 2's .pt, or a folder.

    Pickle files (.pth, .pt) are read as tensors only; one that holds code is refused.
    """
    from napari_amodal.progress import Watch
    from napari_amodal.tabe.weight_import import import_weight
    from napari_amodal.weights.store import holding

    with stop_on_interrupt() as is_cancelled, progress_shown() as show:
        import_weight(name, files, Watch(show, is_cancelled), copy=copy, replace=replace)
    _tell(holding(name), as_json)


def _is_there(held: Holding) -> bool:
    return held.path is not None


def _ask(wanted: list[Weight], repository: str | None) -> None:
    """Show what would be fetched and under which terms, and go on only after a yes."""
    from napari_amodal.weights.catalogue import HubSource, size_told
    from napari_amodal.weights.store import folders

    for weight in wanted:
        source = HubSource(repository) if repository else weight.source
        remark = f", {weight.licence.remark}" if weight.licence.remark else ""
        note(weight.title)
        note(f"  from     {source.page}")
        note(f"  size     about {size_told(weight.size)}")
        note(f"  licence  {weight.licence.name}{remark}: {weight.licence.url}")
    note(f"to {folders()[0]}")
    try:
        if typer.confirm("Fetch, and accept these terms?", err=True):
            return
    except typer.Abort:
        raise CallError("nobody answered; --yes accepts the terms without asking") from None
    note("nothing was fetched")
    raise typer.Exit


def _record(held: Holding, wrong: list[str]) -> dict[str, Any]:
    weight = held.weight
    return {
        "name": weight.name,
        "title": weight.title,
        "stages": list(weight.stages),
        "presence": held.presence.value,
        "path": str(held.path or held.folder) if held.folder else None,
        "size": held.size if held.folder else weight.size,
        "size_is_approximate": held.folder is None,
        "licence": weight.licence.name,
        "licence_url": weight.licence.url,
        "source": weight.source.page,
        "lacks": list(held.lacks),
        "wrong": wrong,
    }


def _show(held: Holding, wrong: list[str]) -> None:
    from napari_amodal.weights.catalogue import size_told
    from napari_amodal.weights.store import why_not

    weight = held.weight
    size = size_told(held.size) if held.path else f"about {size_told(weight.size)}"
    typer.echo(f"{typer.style(weight.name, bold=True):<28} {held.presence.value}, {size}")
    typer.echo(f"  {weight.title}")
    typer.echo(f"  needed by {', '.join(weight.stages)}; licence: {weight.licence.name}")
    typer.echo(f"  from {weight.source.page}")
    typer.echo(f"  in {held.path}" if held.path else f"  {why_not(held)}")
    for told in wrong:
        typer.echo(typer.style(f"  {told}", fg="red"))


def _tell(held: Holding, as_json: bool) -> None:
    typer.echo(json.dumps(_record(held, [])) if as_json else f"{held.weight.name}: {held.path}")
