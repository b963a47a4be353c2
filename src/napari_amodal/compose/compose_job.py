"""One clip of a description: from its tables to a folder in the TABE-51 layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_amodal import __version__
from napari_amodal.batch.inputs import INPUTS, Input, as_record, changed_input
from napari_amodal.batch.outcome import Outcome, Worked, outcome_of
from napari_amodal.compose.description import Described
from napari_amodal.compose.inputs import inputs_of
from napari_amodal.compose.layers import Composition, compose
from napari_amodal.compose.tables import read_scene
from napari_amodal.compose.whole_object import check_whole
from napari_amodal.errors import CallError
from napari_amodal.formats.annos import read_json_object
from napari_amodal.formats.tabe51 import PROVENANCE, is_tabe51, write_tabe51
from napari_amodal.progress import Watch
from napari_amodal.workers import IsCancelled


@dataclass(frozen=True)
class ComposeJob:
    """One clip to compose, into ``out/NAME``."""

    described: Described
    out: Path
    overwrite: bool = False

    @property
    def name(self) -> str:
        return self.described.name

    @property
    def target(self) -> Path:
        return self.out / self.name


def is_composed(job: ComposeJob) -> bool:
    """Whether the job's clip is there, composed of the same.

    Raises
    ------
    CallError
        What is there is something else, or is older than what it was composed of.
    """
    if not job.target.exists():
        return False
    file = job.target / PROVENANCE
    record = read_json_object(file) if is_tabe51(job.target) and file.is_file() else {}
    if record.get("composed") != job.described.what:
        raise CallError(
            f"{job.target} is there and was composed of something else: choose another --out, or "
            "replace it (--overwrite)"
        )
    difference = changed_input(record, inputs_of(job.described))
    if difference:
        raise CallError(
            f"{job.target} is there and was composed of something else ({difference}): choose "
            "another --out, remove that folder, or replace all (--overwrite)"
        )
    return True


def compose_clip(job: ComposeJob, is_cancelled: IsCancelled) -> Outcome:
    """Compose one clip and write it; a failure is told in the outcome, not raised.

    Raises
    ------
    Cancelled
        `is_cancelled` said so; nothing was written then.
    """
    return outcome_of(job.name, lambda: _compose(job, is_cancelled))


def _compose(job: ComposeJob, is_cancelled: IsCancelled) -> Worked:
    watch = Watch(None, is_cancelled)
    inputs = inputs_of(job.described)  # as they are before they are read
    target, laid = read_scene(job.described, is_cancelled)
    note = check_whole(job.described, watch)
    found = compose(job.name, target, laid, watch)
    _write(job, found, inputs, watch)
    return Worked(len(found.clip), note)


def write_composed(job: ComposeJob, found: Composition, watch: Watch) -> None:
    """Write a composed clip as a clip folder that says what it was composed of.

    Raises
    ------
    CallError
        The folder is there and the job does not overwrite, or it is no clip folder.
    InputError
        The object is hidden already in its own clip, a source cannot be read any more, or the
        folder cannot be written.
    """
    inputs = inputs_of(job.described)
    check_whole(job.described, watch)
    _write(job, found, inputs, watch)


def _write(job: ComposeJob, found: Composition, inputs: Mapping[str, Input], watch: Watch) -> None:
    source = job.described.what["object"].get("source")
    record = {
        "format": "napari-amodal",
        "format_version": 1,
        "software": {"napari-amodal": __version__},
        "source": None if source is None else Path(source).name,
        "composed": job.described.what,
        INPUTS: as_record(inputs),
    }
    write_tabe51(
        job.target,
        found.clip,
        found.visible,
        found.amodal,
        found.occlusion,
        record,
        overwrite=job.overwrite,
        on_frame=watch.step,
    )
