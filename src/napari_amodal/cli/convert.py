"""``napari-amodal convert``: a dataset in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_amodal.cli.console import JOB_FAILED, note, progress_shown, reporting, stop_on_interrupt
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.format_table import (
    KEEPS,
    ONE_KIND,
    REMARKS,
    DatasetFormat,
    Facet,
    MaskKind,
)


def _show_formats(wanted: bool) -> None:
    if wanted:
        typer.echo(formats_table())
        raise typer.Exit


@reporting
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="A dataset: its folder, or its JSON or TIFF file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="DST", help="The folder to write.", show_default=False)
    ],
    to: Annotated[
        DatasetFormat, typer.Option("--to", help="The format to write.", show_default=False)
    ],
    source_format: Annotated[
        DatasetFormat | None,
        typer.Option("--from", help="The format to read. Default: what SRC looks like."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder of all frames, where they do not lie beside the annotations.",
        ),
    ] = None,
    masks: Annotated[
        MaskKind, typer.Option(help="Which masks a format with room for one kind holds.")
    ] = MaskKind.VISIBLE,
    frames: Annotated[
        bool, typer.Option("--frames/--no-frames", help="Copy the frames, too.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DST.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one a core.", show_default=False)
    ] = None,
    _formats: Annotated[
        bool,
        typer.Option(
            "--formats",
            callback=_show_formats,
            is_eager=True,
            help="Show what each format keeps, and leave.",
        ),
    ] = False,
) -> None:
    """Convert a dataset from one format to another."""
    from napari_amodal.conversion import Conversion, check_places
    from napari_amodal.conversion import convert as converted
    from napari_amodal.formats.dataset_formats import open_dataset, target_of
    from napari_amodal.progress import Progress

    found = _format_of(source, source_format)
    check_places(source, out)
    if images is not None and not images.is_dir():
        raise CallError(f"there is no folder {images}")
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise CallError(
            f"{out} is there already: choose another folder, or replace it (--overwrite)"
        )
    _say_what_is_lost(found, to, masks, frames=frames)
    result: Conversion
    with stop_on_interrupt() as stopped, progress_shown() as show:

        def on_clip(done: int, total: int) -> None:
            if stopped():
                raise KeyboardInterrupt
            show(
                Progress(
                    "converting", done, total, done / total, None, detail=f"{done} of {total} clips"
                )
            )

        with open_dataset(source, found, images, masks) as dataset:
            target = target_of(to, masks, with_frames=frames)
            result = converted(
                dataset, target, out, overwrite=overwrite, jobs=jobs, on_clip=on_clip
            )
    _report(result, out, to, frames=frames)


def _format_of(source: Path, told: DatasetFormat | None) -> DatasetFormat:
    from napari_amodal.formats.dataset_formats import recognise

    if not source.exists():
        raise CallError(f"there is no file or folder {source}")
    found = told or recognise(source)
    if found is None:
        known = ", ".join(fmt for fmt in DatasetFormat if fmt.can_be_read)
        raise InputError(f"{source} is no dataset that is known: say what it is, --from {known}")
    return found


def _say_what_is_lost(
    source: DatasetFormat, to: DatasetFormat, masks: MaskKind, *, frames: bool
) -> None:
    from napari_amodal.formats.format_table import lost

    gone = [what for what in lost(source, to, masks) if frames or what != Facet.FRAMES]
    if gone:
        note(f"{to} cannot hold from {source}: {', '.join(gone)}")
    if to in REMARKS:
        note(f"{to}: {REMARKS[to]}")


def _report(result: object, out: Path, to: DatasetFormat, *, frames: bool) -> None:
    from napari_amodal.conversion import Conversion

    assert isinstance(result, Conversion)
    typer.echo(f"{result.written} clips written to {out} as {to}")
    if result.without_frames and frames and Facet.FRAMES in KEEPS[to]:
        names = ", ".join(result.without_frames[:5])
        more = len(result.without_frames) - 5
        note(
            f"without frames, as they were not found (--images): {names}"
            + (f" and {more} more" if more > 0 else "")
        )
    for name, wrong in result.failed:
        note(f"left out: {name}: {wrong}")
    if result.failed:
        raise typer.Exit(JOB_FAILED)


def formats_table() -> str:
    """What each format keeps, as lines of text."""
    width = max(len(facet) for facet in Facet)
    lines = [" ".join([" " * width, *DatasetFormat])]
    for facet in Facet:
        cells = [f"{_cell(fmt, facet):<{len(fmt)}}" for fmt in DatasetFormat]
        lines.append(" ".join([f"{facet:<{width}}", *cells]).rstrip())
    lines.append("")
    lines += [f"{fmt}: {REMARKS[fmt]}" for fmt in DatasetFormat if fmt in REMARKS]
    return "\n".join(lines)


def _cell(fmt: DatasetFormat, facet: Facet) -> str:
    if facet not in KEEPS[fmt]:
        return "-"
    return "one" if fmt in ONE_KIND and facet in (Facet.VISIBLE, Facet.AMODAL) else "yes"
