"""``napari-amodal demo``: the whole job on the sample clip, with pictures of the result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_amodal.cli.console import note, progress_shown, reporting, stop_on_interrupt

if TYPE_CHECKING:
    from napari_amodal.export import Annotation
    from napari_amodal.sample import SampleClip

_TRUTH = "truth"
_COMPLETED = "completed"
_VIDEO = "side-by-side.mp4"
_SHEET = "contact-sheet.png"
_OURS = frozenset({_TRUTH, _COMPLETED, _VIDEO, _SHEET})


@reporting
def demo(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write; one that the demo made before is replaced."
        ),
    ] = Path("amodal-demo"),
) -> None:
    """Complete the sample clip, score the result and draw it."""
    from napari_amodal.cli.evaluate import table
    from napari_amodal.cli.pictures import (
        Completed,
        contact_sheet,
        side_by_side,
        write_picture,
        write_video,
    )
    from napari_amodal.evaluation import Prediction, score_clip
    from napari_amodal.formats.replacing import whole_folder
    from napari_amodal.sample import sample_clip

    started = time.monotonic()
    with whole_folder(out, overwrite=True, replaceable=_is_demo, ours=_OURS) as folder:
        sample = sample_clip()
        _write_truth(folder / _TRUTH, sample)
        found = _complete(folder / _COMPLETED, sample)
        name = sample.clip.name
        scores = score_clip(Prediction(folder / _COMPLETED / name), folder / _TRUTH / name)
        note("drawing the video and the contact sheet")
        shown = Completed(sample.clip, found, sample.amodal)
        write_video(folder / _VIDEO, side_by_side(shown), sample.clip.fps or 12)
        write_picture(folder / _SHEET, contact_sheet(shown))
    typer.echo(table({name: scores}))
    typer.echo(f"\ndone in {time.monotonic() - started:.0f} s; look at")
    for path, what in (
        (out / _VIDEO, "frame, visible mask, amodal mask"),
        (out / _SHEET, "amodal masks at a glance"),
        (out / _COMPLETED / name, "the result, in the TABE-51 layout"),
        (out / _TRUTH / name, "the sample clip with its true masks"),
    ):
        typer.echo(f"  {path!s:<36} {what}")


def _is_demo(folder: Path) -> bool:
    return (folder / _SHEET).is_file() and (folder / _TRUTH).is_dir()


def _write_truth(out: Path, sample: SampleClip) -> None:
    from napari_amodal.formats.tabe51 import write_tabe51

    folder = out / sample.clip.name
    write_tabe51(folder, sample.clip, sample.visible, sample.amodal, sample.occlusion)


def _complete(out: Path, sample: SampleClip) -> Annotation:
    """Run the draft engine from the mask of frame 0 alone, and write what it finds."""
    from napari_amodal.engine import run
    from napari_amodal.export import annotation_of, export
    from napari_amodal.registry import find_engine
    from napari_amodal.stages import Query

    queries = {1: Query({0: sample.visible[0]})}
    with stop_on_interrupt() as is_cancelled, progress_shown() as show:
        completion = run(
            sample.clip,
            queries,
            find_engine("draft"),
            on_progress=show,
            is_cancelled=is_cancelled,
        )
    found = annotation_of(completion, 1)
    export(out, sample.clip, {1: found}, completion)
    return found
