"""The state that all parts of the window share: steps, undo, painting, a running job."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_amodal.annotation.clip_annotation import ClipAnnotation, with_new_object
from napari_amodal.annotation.history import History
from napari_amodal.annotation.object_annotation import with_locks
from napari_amodal.annotation.provisional import Provisional
from napari_amodal.clip import clip_from_array
from napari_amodal.masks import MaskStack
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.layer_origin import LayerRole

SHAPE = (5, 16, 20)


def square(at: int) -> np.ndarray:
    mask = np.zeros(SHAPE[1:], np.bool_)
    mask[at : at + 4, at : at + 4] = True
    return mask


@pytest.fixture
def model(qapp: object) -> AnnotationModel:
    model = AnnotationModel()
    model.open(
        clip_from_array(np.zeros((*SHAPE, 3), np.uint8)),
        History.begin(with_new_object(ClipAnnotation(SHAPE))[0]),
    )
    return model


def test_painting_corrects_and_locks_a_frame(model: AnnotationModel) -> None:
    told: list[tuple[int, frozenset[int]]] = []
    model.frames_changed.connect(lambda *change: told.append(change))
    model.paint(1, LayerRole.VISIBLE, {2: square(3)})
    ball = model.objects[1]
    assert ball.locked == ball.corrected == {2}
    assert (ball.amodal[2] == square(3)).all()  # amodal contains visible
    assert told == [(1, frozenset({2}))]
    assert model.undo_label == "Paint visible, frame 2"


def test_strokes_on_a_frame_are_one_step_and_none_if_nothing_is_left(
    model: AnnotationModel,
) -> None:
    model.paint(1, LayerRole.VISIBLE, {2: square(3)})
    model.paint(1, LayerRole.VISIBLE, {2: square(5)})
    assert len(model.history.steps) == 2
    model.paint(1, LayerRole.VISIBLE, {2: np.zeros(SHAPE[1:], np.bool_)})  # napari's undo
    assert model.undo_label is None
    assert not model.objects[1].locked
    model.paint(1, LayerRole.VISIBLE, {2: square(3)})
    model.paint(1, LayerRole.AMODAL, {2: square(3) | square(6)})
    assert len(model.history.steps) == 3


def test_undo_and_redo(model: AnnotationModel) -> None:
    model.change("Lock frame 1", 1, lambda ball: with_locks(ball, [1], locked=True))
    model.change("Rename", 1, lambda ball: replace(ball, name="ball"))
    model.change("Nothing", 1, lambda ball: ball)
    assert model.undo_label == "Rename"
    heard: list[str] = []
    model.objects_changed.connect(lambda: heard.append("objects"))
    model.undo()
    model.undo()
    model.undo()
    assert model.objects[1].name == "object 1"
    assert not model.objects[1].locked
    assert heard == ["objects"]
    model.redo()
    model.redo()
    assert model.objects[1].name == "ball"
    assert model.redo_label is None


def test_a_painted_query_makes_its_object(model: AnnotationModel) -> None:
    model.paint(3, LayerRole.QUERY, {0: square(2)})
    assert list(model.objects) == [1, 3]
    assert model.objects[3].query_frames == {0}
    model.paint(3, LayerRole.QUERY, {0: np.zeros(SHAPE[1:], np.bool_)})
    assert list(model.objects) == [1]


def test_a_job_is_one_step_and_paints_survive_it(model: AnnotationModel) -> None:
    found = Provisional(model.state)
    packed = MaskStack([square(1)], *SHAPE[1:]).packed[0]
    model.begin_job("Run draft", found)
    for frame in range(4):
        found.add("visible", 1, frame, packed)
        found.add("amodal", 1, frame, packed)
    model.job_found()
    assert (model.objects[1].visible[2] == square(1)).all()
    assert model.kept_history.undo_label == "Run draft (not ended)"
    # the brush went over what the job had found
    model.paint(1, LayerRole.AMODAL, {2: square(1) | square(6)})
    assert (model.objects[1].visible[2] == square(1)).all()
    model.end_job()
    assert [step.label for step in model.history.steps[1:]] == [
        "Paint amodal, frame 2",
        "Run draft",
    ]
    model.undo()
    assert model.objects[1].locked == {2}
    assert not model.objects[1].visible[1].any()
    model.undo()
    assert not model.objects[1].visible[2].any()


def test_the_current_object_goes_with_its_object(model: AnnotationModel) -> None:
    assert model.current == 1
    assert model.add_object("cup") == 2 == model.current
    model.undo()
    assert model.current == 1
    with pytest.raises(ValueError, match="no object 2"):
        model.current = 2
    model.close()
    assert model.current is None
    assert not model.is_open
