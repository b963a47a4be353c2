"""Saves a session again and again until it is killed; run by test_session_folder.

Each state says in its settings which step it is, and all its masks follow from that. For each line
that it reads this process makes one that does the saving, which can be killed: it prints its id,
and the step after each save that has returned.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from made import disk, reference

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object, with_object
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import corrected
from napari_amodal.annotation.session import Session
from napari_amodal.annotation.session_folder import SessionFolder, is_session
from napari_amodal.masks import Mask

SHAPE = (150, 48, 64)


def mask_at(step: int, frame: int) -> Mask:
    return disk(48, 64, 24, (7 * step + frame) % 64, 9)


def next_state(state: ClipAnnotation, step: int) -> ClipAnnotation:
    """Every mask of a few frames is another one; the frames follow from the step."""
    frames = {(step * 11) % 150, (step * 37) % 150, 149}
    masks = {frame: mask_at(step, frame) for frame in frames}
    state = with_object(state, 1, corrected(state.objects[1], masks, masks))
    return replace(state, settings=MappingProxyType({"step": MappingProxyType({"number": step})}))


def step_of(state: ClipAnnotation) -> int:
    return int(state.settings["step"]["number"]) if state.settings else 0


def is_whole(state: ClipAnnotation) -> bool:
    """Whether all masks are those of the state's step."""
    step = step_of(state)
    for frame in {(step * 11) % 150, (step * 37) % 150, 149} if step else ():
        found = state.objects[1]
        same = (found.visible[frame] == mask_at(step, frame)).all()
        if not same or not found.amodal.same_frame(found.visible, frame):
            return False
    return True


def save_on(folder: Path) -> None:
    started = not is_session(folder)
    kept = SessionFolder(folder)
    if started:
        state, _ = with_new_object(ClipAnnotation(SHAPE))
        history = History.begin(state)
    else:
        session, faults = kept.load()
        assert not faults, faults
        history = session.history
    while True:
        kept.save(Session(reference(SHAPE), history))
        print(step_of(history.state), flush=True)
        step = step_of(history.state) + 1
        history = history.done(f"step {step}", next_state(history.state, step))


def main(folder: Path) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            save_on(folder)
        os.waitpid(child, 0)
        print("killed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
