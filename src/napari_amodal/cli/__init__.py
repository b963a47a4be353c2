"""The command line. Each command imports what it needs when it is called, so that help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_amodal import __version__
from napari_amodal.cli.batch import batch
from napari_amodal.cli.compose import compose
from napari_amodal.cli.convert import convert
from napari_amodal.cli.demo import demo
from napari_amodal.cli.evaluate import evaluate
from napari_amodal.cli.info import info
from napari_amodal.cli.open import open_in_napari
from napari_amodal.cli.run import run
from napari_amodal.cli.weights import weights

app = typer.Typer(
    name="napari-amodal",
    help="Draw the whole extent of an object in a video, behind whatever hides it.",
    epilog="Exit status: 0 done, 1 the job failed, 2 the call is wrong, 130 stopped by Ctrl-C.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (run, batch, evaluate, convert, compose, demo, info):
    app.command()(_command)
app.command("open")(open_in_napari)
app.add_typer(weights, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-amodal {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Draw the whole extent of an object in a video, behind whatever hides it."""
