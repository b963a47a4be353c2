"""Undo and redo: every tool and every run is one step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from napari_amodal.annotation.clip_annotation import ClipAnnotation

#: Steps that are kept. A step costs what it changed: states share the masks that they have in
#: common, and a pointer for each frame of a stack that differs (80 kB for 10,000 frames).
MOST_STEPS = 100


@dataclass(frozen=True)
class Step:
    """A state, and what led to it.

    Attributes
    ----------
    label : str
        What was done, in words: "Paint amodal, frame 12".
    at : str
        When, UTC, ISO 8601.
    state : ClipAnnotation
        How things were afterwards.
    """

    label: str
    at: str
    state: ClipAnnotation


@dataclass(frozen=True)
class History:
    """The steps of the work so far and where in them the annotator is; immutable.

    Attributes
    ----------
    steps : tuple of Step
        Oldest first, at least one; those after `position` were undone.
    position : int
        Index of the step that counts now.
    """

    steps: tuple[Step, ...]
    position: int

    @classmethod
    def begin(cls, state: ClipAnnotation, label: str = "Begin") -> History:
        """A history that begins with a state."""
        return cls((Step(label, _now(), state),), 0)

    @property
    def state(self) -> ClipAnnotation:
        """The state that counts now."""
        return self.steps[self.position].state

    @property
    def undo_label(self) -> str | None:
        """What `undone` would take back; None where there is nothing."""
        return self.steps[self.position].label if self.position else None

    @property
    def redo_label(self) -> str | None:
        """What `redone` would do again; None where there is nothing."""
        later = self.steps[self.position + 1 :]
        return later[0].label if later else None

    def done(self, label: str, state: ClipAnnotation) -> History:
        """One step more; what was undone is forgotten. Nothing, if nothing changes."""
        if state is self.state:
            return self
        steps = (*self.steps[: self.position + 1], Step(label, _now(), state))[-MOST_STEPS:]
        return History(steps, len(steps) - 1)

    def amended(self, state: ClipAnnotation) -> History:
        """The last step with another outcome, for what belongs to it: the frames of a run."""
        steps = self.steps[: self.position]
        return History((*steps, replace(self.steps[self.position], state=state)), self.position)

    def undone(self) -> History:
        """One step back; the same where there is none."""
        return replace(self, position=max(0, self.position - 1))

    def redone(self) -> History:
        """One step forward again; the same where there is none."""
        return replace(self, position=min(len(self.steps) - 1, self.position + 1))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
