"""A session: the work on a clip with its history, and the JSON object that names its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_amodal import __version__
from napari_amodal.annotation.clip_annotation import ClipAnnotation
from napari_amodal.annotation.clip_reference import ClipReference
from napari_amodal.annotation.history import History, Step
from napari_amodal.annotation.json_fields import Fields
from napari_amodal.errors import InputError

FORMAT, FORMAT_VERSION = "napari-amodal-session", 1


@dataclass(frozen=True)
class Session:
    """Everything that is kept of the work on one clip.

    Attributes
    ----------
    clip : ClipReference
    history : History
    seconds : float
        Time that people spent on it.
    view : mapping
        What a window likes to remember, as JSON: the frame that is shown, for one.
    """

    clip: ClipReference
    history: History
    seconds: float = 0.0
    view: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def state(self) -> ClipAnnotation:
        return self.history.state


def history_of(
    folder: Path, steps: Mapping[int, Step], position: int, faults: list[str]
) -> tuple[History, tuple[str, ...]]:
    """The steps that could be read; where the one that counts could not, the last before it."""
    if not steps:
        raise InputError(f"{folder} cannot be opened: {'; '.join(faults) or 'it has no state'}")
    order = sorted(steps)
    if position in steps:
        return History(tuple(steps[at] for at in order), order.index(position)), ()
    at = max((at for at in order if at < position), default=order[0])
    told = f"the last state could not be read: this is the one after {steps[at].label!r}"
    return History(tuple(steps[n] for n in order), order.index(at)), (told,)


def check_shapes(session: Session, fields: Fields) -> None:
    for step in session.history.steps:
        if step.state.shape != session.clip.shape:
            fields.fault("clip", f"a clip of the masks' shape {step.state.shape}")


def session_record(session: Session, states: list[str]) -> dict[str, Any]:
    clip, history = session.clip, session.history
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "software": {"napari-amodal": __version__},
        "clip": {
            "name": clip.name,
            "path": clip.path,
            "shape": list(clip.shape),
            "fingerprint": clip.fingerprint,
        },
        "seconds": session.seconds,
        "view": dict(session.view),
        "steps": [
            {"label": step.label, "at": step.at, "state": state}
            for step, state in zip(history.steps, states, strict=True)
        ],
        "position": history.position,
    }


def reference_of(fields: Fields) -> ClipReference:
    shape = fields.numbers("shape")
    path = None if fields.data.get("path") is None else fields.text("path")
    if len(shape) != 3:
        fields.fault("shape", "frames, height and width")
    whole = (int(shape[0]), int(shape[1]), int(shape[2]))
    return ClipReference(fields.text("name"), path, whole, fields.text("fingerprint"))
