"""The tools for hidden parts in a real viewer, each one step of undo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from napari_amodal.annotation.clip_annotation import with_object
from napari_amodal.annotation.object_annotation import (
    CONSENSUS,
    ObjectAnnotation,
    corrected,
    with_locks,
)
from napari_amodal.masks import MaskStack
from napari_amodal.stages import Hypothesis
from napari_amodal.widgets.completion_widget import CompletionWidget

from .driving import SECONDS_30, mask, paint_square, run_to_its_end


@pytest.fixture
def frames() -> np.ndarray:
    """A textured square that moves by 4 pixels a frame over other texture, ``(8, 48, 64, 3)``."""
    random = np.random.default_rng(0)

    def texture(height: int, width: int, low: float, high: float) -> np.ndarray:
        noise = cv2.GaussianBlur(random.random((height, width, 3)), (0, 0), 1.5)
        noise = (noise - noise.min()) / (noise.max() - noise.min())
        return np.asarray(low + (high - low) * noise, np.uint8)

    ground, thing = texture(48, 64, 0, 90), texture(16, 16, 120, 250)
    frames = np.stack([ground] * 8)
    for frame in range(8):
        frames[frame, 10:26, 8 + 4 * frame : 24 + 4 * frame] = thing
    return frames


@pytest.fixture
def widget(qtbot: Any, open_widget: Any, frames: np.ndarray) -> CompletionWidget:
    """The panel after a run of an engine that leaves a square where it is, on all 8 frames."""
    from .driving import choose_engine

    made: CompletionWidget = open_widget()
    made.model.viewer.add_image(frames, name="clip", rgb=True)
    made.frames.refresh()
    choose_engine(made, "still")
    made.new_query.click()
    assert made.model.query is not None
    paint_square(made.model.query, 0)
    run_to_its_end(qtbot, made)
    made.model.go_to(2)
    return made


def box_mask(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    found = np.zeros((48, 64), np.bool_)
    found[y0:y1, x0:x1] = True
    return found


def amodal(widget: CompletionWidget, frame: int = 2) -> np.ndarray:
    return widget.model.annotation.objects[1].amodal[frame]


def paint(widget: CompletionWidget, frame: int, whole: np.ndarray) -> None:
    nothing = np.zeros((48, 64), np.bool_)
    widget.model.annotation.change(
        "Set up", 1, lambda one: corrected(one, {frame: nothing}, {frame: whole})
    )


def give_hypotheses(widget: CompletionWidget) -> list[np.ndarray]:
    """Three hypotheses of all frames, widening from 10 to 30 columns."""
    masks = [box_mask(10, 8, 26, 8 + width) for width in (10, 20, 30)]
    annotation = widget.model.annotation
    assert annotation.history is not None
    nothing = MaskStack.empty(8, 48, 64)
    found = tuple(
        Hypothesis(MaskStack([one] * 8, 48, 64), 1 - 0.1 * n) for n, one in enumerate(masks)
    )
    now = replace(annotation.objects[1], hypotheses=found, visible=nothing, picks=(0,) * 8)
    annotation.apply("Set up", with_object(annotation.history.state, 1, now))
    return masks


def test_a_hypothesis_is_taken_for_a_range_a_frame_and_all(widget: CompletionWidget) -> None:
    masks = give_hypotheses(widget)
    annotation, box = widget.model.annotation, widget.around.tools_box
    annotation.change("Lock", 1, lambda one: with_locks(one, [4], locked=True))
    locked = amodal(widget, 4)
    box.select(range(3, 6))
    box.choice.activated.emit(box.choice.findData(2))
    assert np.array_equal(amodal(widget, 3), masks[2]) and np.array_equal(
        amodal(widget, 5), masks[2]
    )
    assert np.array_equal(amodal(widget, 4), locked), "a locked frame never changes"
    assert annotation.undo_label == "Take hypothesis 3, frames 3 to 5"
    box.only_frame.setChecked(True)
    box.choice.activated.emit(box.choice.findData(CONSENSUS))
    assert np.array_equal(amodal(widget, 2), masks[1]), "two of three hold 20 columns"
    box.refresh()
    assert box.choice.currentData() == CONSENSUS
    annotation.undo()
    annotation.undo()
    assert annotation.objects[1].picks == (0,) * 8


def test_the_layer_shows_where_hypotheses_disagree(widget: CompletionWidget) -> None:
    give_hypotheses(widget)
    widget.around.tools_box.divided.setChecked(True)
    shown = widget.model.viewer.layers["disagreement"].data
    assert shown[15, 10] == 0 and shown[15, 20] == pytest.approx(2 / 3) and shown[40, 50] == 0
    widget.around.tools_box.divided.setChecked(False)
    assert "disagreement" not in widget.model.viewer.layers


def test_holes_specks_and_edges_are_mended_one_step_each(widget: CompletionWidget) -> None:
    whole = box_mask(10, 8, 40, 40)
    whole[20:24, 20:24] = False
    whole[44:46, 60:62] = True
    paint(widget, 2, whole)
    box, annotation = widget.around.tools_box, widget.model.annotation
    assert annotation.history is not None
    steps = len(annotation.history.steps)
    box.fill.click()
    assert amodal(widget)[20:24, 20:24].all() and amodal(widget)[44, 60]
    box.specks.click()
    assert not amodal(widget)[44, 60]
    before = amodal(widget)
    box.smooth.click()
    assert not amodal(widget)[10, 8] and before[10, 8], "the corner is round"
    assert len(annotation.history.steps) == steps + 3
    layer = next(found.layer for found in widget.model.layers.layers if found.role == "amodal")
    assert np.array_equal(mask(layer, 2), amodal(widget)), "the layer shows it"
    annotation.undo()
    assert np.array_equal(amodal(widget), before)


def test_a_mask_is_moved_scaled_and_turned(widget: CompletionWidget) -> None:
    paint(widget, 2, box_mask(20, 20, 26, 32))
    box = widget.around.tools_box
    box.move_x.setValue(5)
    box.turn.setValue(90)
    box.apply.click()
    ys, xs = np.nonzero(amodal(widget))
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (12, 6)
    assert xs.mean() == pytest.approx(25.5 + 5, abs=0.6)


def test_amodal_contains_visible_unless_switched_off(widget: CompletionWidget) -> None:
    annotation, box = widget.model.annotation, widget.around.tools_box
    seen = annotation.objects[1].visible[2]
    assert seen.any()
    box.move_x.setValue(30)
    box.apply.click()
    assert not (seen & ~amodal(widget)).any()
    box.contains.click()
    assert not annotation.state.amodal_contains_visible
    box.apply.click()
    annotation.undo()
    annotation.undo()
    assert annotation.state.amodal_contains_visible


def test_masks_between_two_locked_frames_follow_the_motion(
    qtbot: Any, widget: CompletionWidget, frames: np.ndarray
) -> None:
    annotation = widget.model.annotation
    truth = [box_mask(10, 8 + 4 * n, 26, 24 + 4 * n) for n in range(8)]
    seen = {n: truth[n] for n in range(8)}
    annotation.change("Set up", 1, lambda one: replace(one, visible=one.visible.replaced(seen)))
    for frame in (1, 6):
        paint_both = {frame: truth[frame]}
        annotation.change("Set up", 1, lambda one, both=paint_both: corrected(one, both, both))
        annotation.change("Lock", 1, lambda one, at=frame: with_locks(one, [at], locked=True))
    widget.model.go_to(3)
    widget.around.tools_box.interpolate.click()
    qtbot.waitUntil(lambda: not widget.around.tools.is_busy, timeout=SECONDS_30)
    assert annotation.undo_label == "Interpolate frames 2 to 5"
    for frame in range(2, 6):
        found = amodal(widget, frame)
        assert (found & truth[frame]).sum() / (found | truth[frame]).sum() > 0.9


def test_a_mask_is_copied_with_its_motion_but_not_onto_locked_frames(
    qtbot: Any, widget: CompletionWidget
) -> None:
    annotation, box = widget.model.annotation, widget.around.tools_box
    truth = [box_mask(10, 8 + 4 * n, 26, 24 + 4 * n) for n in range(8)]
    seen = dict(enumerate(truth))
    annotation.change("Set up", 1, lambda one: replace(one, visible=one.visible.replaced(seen)))
    whole = box_mask(10, 16, 40, 32)
    annotation.change("Set up", 1, lambda one: corrected(one, {}, {2: whole}))
    annotation.change("Lock", 1, lambda one: with_locks(one, [4], locked=True))
    locked = amodal(widget, 4)
    box.select(range(3, 6))
    box.copy.click()
    qtbot.waitUntil(lambda: not widget.around.tools.is_busy, timeout=SECONDS_30)
    assert np.array_equal(amodal(widget, 4), locked)
    for frame in (3, 5):
        wanted = box_mask(10, 8 + 4 * frame, 40, 24 + 4 * frame)
        found = amodal(widget, frame)
        assert (found & wanted).sum() / (found | wanted).sum() > 0.85
    assert annotation.undo_label == "Copy frame 2 to 2 frames"


def test_nothing_hidden_on_the_frame_or_the_chosen_ones(widget: CompletionWidget) -> None:
    annotation, tools = widget.model.annotation, widget.around.tools_box

    def hide(one: ObjectAnnotation) -> ObjectAnnotation:
        more = one.visible[2] | box_mask(30, 30, 40, 40)
        return replace(one, amodal=one.amodal.replaced(dict.fromkeys(range(2, 7), more)))

    annotation.change("Set up", 1, hide)
    tools.unhide.click()
    now = annotation.objects[1]
    assert now.amodal.same_frame(now.visible, 2) and now.locked == {2}
    tools.select(range(3, 6))
    tools.unhide.click()
    now = annotation.objects[1]
    assert annotation.undo_label == "Nothing hidden, frames 3 to 5"
    assert all(now.amodal.same_frame(now.visible, frame) for frame in (3, 4, 5))
    assert now.locked == {2, 3, 4, 5} and amodal(widget, 6)[35, 35]
    annotation.undo()
    assert amodal(widget, 4)[35, 35]
