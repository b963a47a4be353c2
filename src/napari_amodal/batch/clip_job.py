"""One clip of a batch: what is to be done, whether it is done, and doing it.

A job is plain data, so that it can go to another process or another machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal.batch.inputs import INPUTS, Input, as_record, changed_input, input_of
from napari_amodal.batch.outcome import Outcome, Worked, outcome_of
from napari_amodal.engine import Overrides, recorded_settings, run
from napari_amodal.errors import CallError, InputError
from napari_amodal.export import annotation_of, provenance
from napari_amodal.formats.annos import read_json_object
from napari_amodal.formats.tabe51 import (
    HYPOTHESES,
    PROVENANCE,
    VISIBLE,
    Tabe51Clip,
    full_stack,
    is_tabe51,
    read_tabe51,
    write_tabe51,
)
from napari_amodal.progress import Watch
from napari_amodal.registry import find_engine
from napari_amodal.stages import Query
from napari_amodal.workers import IsCancelled

#: Each clip folder of a set holds one object.
_OBJECT = 1

#: A setting that says where a stage runs, not what it finds.
_PLACE = "device"


@dataclass(frozen=True)
class Method:
    """How every clip of a batch is completed.

    Attributes
    ----------
    engine : str
        Name of an engine, or a mixture.
    settings : mapping
        Settings that differ from the engine's, stage name to setting to value.
    given : bool
        Take the clips' own visible masks instead of tracking them.
    """

    engine: str
    settings: Overrides
    given: bool = False

    def record(self) -> dict[str, Any]:
        """What ``napari-amodal.json`` says of a clip that was completed this way."""
        engine = find_engine(self.engine)
        settings = recorded_settings(engine, self.settings, tracked=not self.given)
        stages = {kind.label: name for kind, name in engine.stages.items()}
        if self.given:
            stages["tracker"] = None  # type: ignore[assignment]
        return _as_json({"engine": {"name": engine.name, **stages}, "settings": settings})


@dataclass(frozen=True)
class ClipJob:
    """One clip to complete.

    Attributes
    ----------
    clip : pathlib.Path
        Its folder, in the TABE-51 layout.
    out : pathlib.Path
        The folder of the batch; the clip goes to ``out/NAME``.
    method : Method
    every_hypothesis : bool
        Write all hypotheses, where the engine gives several.
    overwrite : bool
        Complete it again where it is done.
    """

    clip: Path
    out: Path
    method: Method
    every_hypothesis: bool = False
    overwrite: bool = False

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def target(self) -> Path:
        return self.out / self.name

    def inputs(self) -> dict[str, Input]:
        """The clip as it is now: where it lies, and its visible masks, the query among them."""
        return {"the clip": input_of(self.clip, (VISIBLE,))}


def is_done(job: ClipJob) -> bool:
    """Whether the job's clip is there, completed the same way.

    Raises
    ------
    CallError
        What is there was made in another way or of another clip, or is no completed clip.
    """
    if not job.target.exists():
        return False
    found = _record_in(job.target)
    if found is None:
        raise CallError(
            f"{job.target} is there and was not made by a run: choose another --out, or replace it "
            "(--overwrite)"
        )
    wanted = job.method.record()
    if _without_place(found) != _without_place(wanted):
        raise CallError(
            f"{job.target} was completed in another way ({_difference(found, wanted)}): choose "
            "another --out, or replace it (--overwrite)"
        )
    difference = changed_input(found, job.inputs())
    if difference:
        raise CallError(
            f"{job.target} was completed of something else ({difference}): choose another --out, "
            "remove that folder, or replace all (--overwrite)"
        )
    if job.every_hypothesis and found["hypotheses"] > 1 and not (job.target / HYPOTHESES).is_dir():
        raise CallError(
            f"{job.target} was completed without its {found['hypotheses']} hypotheses: choose "
            "another --out, or replace it (--overwrite)"
        )
    return True


def complete_clip(job: ClipJob, is_cancelled: IsCancelled) -> Outcome:
    """Complete one clip and write it; a failure is told in the outcome, not raised.

    Raises
    ------
    Cancelled
        `is_cancelled` said so; nothing was written then.
    """

    def work() -> Worked | None:
        if not job.overwrite and is_done(job):  # by a worker that was lost after it wrote
            return None
        return Worked(_complete(job, is_cancelled))

    return outcome_of(job.name, work)


def _complete(job: ClipJob, is_cancelled: IsCancelled) -> int:
    """Run the engine and write the folder; gives the number of frames."""
    inputs = job.inputs()  # as they are before they are read
    folder = read_tabe51(job.clip)
    method = job.method
    visible = None
    if method.given:
        visible = {_OBJECT: full_stack(folder.visible, folder.clip, "visible_masks")}
    completion = run(
        folder.clip,
        {_OBJECT: first_query(folder)},
        find_engine(method.engine),
        settings=method.settings,
        visible=visible,
        is_cancelled=is_cancelled,
    )
    writing = Watch(None, is_cancelled)
    found = annotation_of(completion, _OBJECT, every_hypothesis=job.every_hypothesis)
    write_tabe51(
        job.target,
        folder.clip,
        found.visible,
        found.amodal,
        found.occlusion,
        {**provenance(folder.clip, _OBJECT, found, completion), INPUTS: as_record(inputs)},
        hypotheses=found.hypotheses,
        overwrite=job.overwrite,
        on_frame=writing.step,
    )
    return len(folder.clip)


def first_query(folder: Tabe51Clip) -> Query:
    """The first of a clip's own visible masks that is not empty, as `napari-amodal run` takes it.

    Raises
    ------
    InputError
        There is none.
    """
    for frame in sorted(folder.visible):
        mask = folder.visible[frame]
        if mask.any():
            return Query({frame: mask})
    held = "are all empty" if folder.visible else "are not there"
    raise InputError(f"the masks in {folder.clip.name}/visible_masks {held}: paint the first one")


def _record_in(folder: Path) -> dict[str, Any] | None:
    """What a completed clip records of its run; None where it records none."""
    if not is_tabe51(folder) or not (folder / PROVENANCE).is_file():
        return None
    record = read_json_object(folder / PROVENANCE)
    if not isinstance(record.get("engine"), dict) or not isinstance(record.get("settings"), dict):
        return None
    count = record.get("hypotheses")
    return {
        "engine": record["engine"],
        "settings": record["settings"],
        "hypotheses": count if isinstance(count, int) else 1,
        INPUTS: record.get(INPUTS),
    }


def _as_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it reads once it was written: tuples are lists, choices are texts."""
    found: dict[str, Any] = json.loads(json.dumps(record))
    return found


def _without_place(record: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        stage: {name: value for name, value in values.items() if name != _PLACE}
        for stage, values in record["settings"].items()
        if isinstance(values, dict)
    }
    return {"engine": record["engine"], "settings": settings}


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if found["engine"] != wanted["engine"]:
        was, now = found["engine"].get("name"), wanted["engine"]["name"]
        if was != now:
            return f"by the engine {was!r}, not {now!r}"
        return "with other stages"
    before, after = _without_place(found)["settings"], _without_place(wanted)["settings"]
    for stage, values in after.items():
        for name, value in values.items():
            was = before.get(stage, {}).get(name)
            if was != value:
                return f"{stage}.{name} was {was}, not {value}"
    return "with other settings"
