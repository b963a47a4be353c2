"""``napari-amodal run``: complete the objects of one clip."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_amodal.cli.console import progress_shown, reporting, stop_on_interrupt
from napari_amodal.errors import CallError

if TYPE_CHECKING:
    from napari_amodal.clip import Clip
    from napari_amodal.engine import Completion
    from napari_amodal.export import Annotation


class Visible(StrEnum):
    """Where the visible masks come from."""

    TRACK = "track"
    GIVEN = "given"


@reporting
def run(
    clip: Annotated[
        Path,
        typer.Argument(
            metavar="CLIP",
            help="A video file, a folder of images, a multi-page TIFF or a TABE-51 folder.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder to write into: DIR/NAME, NAME as the clip is called.",
            show_default=False,
        ),
    ],
    query: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK",
            help="Image with the object's visible mask; several labels are several objects. "
            "Default: the first mask in the clip's visible_masks/ that is not empty.",
        ),
    ] = None,
    query_frame: Annotated[
        int | None,
        typer.Option(metavar="N", help="The frame that the query is on, counted from 0."),
    ] = None,
    click: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAME:Y,X",
            help="A point on the object, in pixels; repeatable. OBJECT@FRAME:Y,X for several.",
        ),
    ] = None,
    outside: Annotated[
        list[str] | None,
        typer.Option(metavar="FRAME:Y,X", help="A point beside the object; repeatable."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="FRAME:Y0,X0,Y1,X1", help="A box around the visible object."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="An engine, or a mixture TRACKER+REASONER+COMPLETER (see `info`)."
        ),
    ] = "draft",
    visible: Annotated[
        Visible, typer.Option(help="Track the visible masks, or take the clip's own as given.")
    ] = Visible.TRACK,
    object_id: Annotated[
        int | None,
        typer.Option("--object", metavar="ID", help="Complete only this label of the query."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where networks run, for all stages that have any: cuda, mps or cpu."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.SETTING=VALUE", help="Change a setting; repeatable."),
    ] = None,
    hypotheses: Annotated[
        bool,
        typer.Option("--hypotheses", help="Write every hypothesis, too, where there are several."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output once the new one is complete.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
) -> None:
    """Complete the queried objects of a clip, behind whatever hides them."""
    from napari_amodal.cli.clicks import ClickChoice, check_taken, find_clicks
    from napari_amodal.cli.overrides import on_device, parse_overrides
    from napari_amodal.cli.queries import QueryChoice, find_queries, given_visible
    from napari_amodal.engine import run as run_engine
    from napari_amodal.export import annotation_of, check_targets, export, object_folders
    from napari_amodal.formats.opening import open_clip
    from napari_amodal.formats.tabe51 import is_tabe51, read_tabe51
    from napari_amodal.progress import Watch
    from napari_amodal.registry import find_engine

    chosen = find_engine(engine)
    texts = (*on_device(chosen, device), *(changes or ()))
    settings = parse_overrides(chosen, texts)
    clicks = ClickChoice(click or (), outside or (), box or ())
    check_taken(chosen, clicks)
    if visible is Visible.GIVEN and clicks.options:
        raise CallError(f"{clicks.options[0]} guides the tracker, which --visible given leaves out")
    folder = read_tabe51(clip) if is_tabe51(clip) else None
    opened = folder.clip if folder else open_clip(clip)
    choice = QueryChoice(query, query_frame, object_id, find_clicks(opened, clicks))
    queries = find_queries(opened, folder, choice)
    check_targets(object_folders(out, opened.name, tuple(queries)), overwrite=overwrite)
    given = None
    if visible is Visible.GIVEN:
        given = {label: given_visible(opened, folder, list(queries)) for label in queries}

    started = time.monotonic()
    with stop_on_interrupt() as is_cancelled, progress_shown() as show:
        completion = run_engine(
            opened,
            queries,
            chosen,
            settings=settings,
            visible=given,
            on_progress=show,
            is_cancelled=is_cancelled,
        )
        seconds = time.monotonic() - started
        annotations = {
            label: annotation_of(completion, label, every_hypothesis=hypotheses)
            for label in completion.objects
        }
        writing = Watch(show, is_cancelled)
        writing.enter("Writing", 0.0, 1.0)
        folders = export(
            out, opened, annotations, completion, overwrite=overwrite, on_frame=writing.step
        )
    summary = _summary(opened, completion, annotations, folders, seconds)
    typer.echo(json.dumps(summary, indent=2) if as_json else _in_words(summary))


def _summary(
    clip: Clip,
    completion: Completion,
    annotations: dict[int, Annotation],
    folders: tuple[Path, ...],
    seconds: float,
) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "clip": clip.name,
        "frames": len(clip),
        "width": clip.width,
        "height": clip.height,
        "engine": completion.engine.name,
        "seconds": round(seconds, 3),
        "frames_per_second": round(len(clip) / seconds, 3),
        "folders": [str(folder) for folder in folders],
        "objects": [
            {
                "object": label,
                "folder": str(folder),
                "query_frame": completion.objects[label].query.frame,
                "levels": _level_counts(annotations[label]),
            }
            for label, folder in zip(sorted(annotations), folders, strict=True)
        ],
    }


def _level_counts(annotation: Annotation) -> dict[str, int]:
    from napari_amodal.levels import OcclusionLevel

    levels = [occlusion.level for occlusion in annotation.occlusion]
    return {level.name: levels.count(level) for level in reversed(OcclusionLevel)}


def _in_words(summary: dict[str, Any]) -> str:
    lines = [
        f"{summary['clip']}: {summary['frames']} frames of {summary['width']}x{summary['height']} "
        f"in {summary['seconds']:.1f} s, {summary['frames_per_second']:.1f} frames per second"
    ]
    for found in summary["objects"]:
        counts = ", ".join(f"{count} {level}" for level, count in found["levels"].items() if count)
        lines.append(f"object {found['object']}: {counts}")
        lines.append(f"  {found['folder']}")
    return "\n".join(lines)
