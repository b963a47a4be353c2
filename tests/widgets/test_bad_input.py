"""Layers of all kinds: they work, or a notification says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from napari_amodal.widgets.completion_widget import CompletionWidget
from napari_amodal.widgets.layer_clip import clip_of

from .driving import choose_engine, mask, paint_square, press_run, run_to_its_end, wait_until_idle

Open = Callable[[], CompletionWidget]
Said = Callable[[], list[str]]


def with_image(open_widget: Open, data: Any, **settings: Any) -> CompletionWidget:
    widget = open_widget()
    widget.model.viewer.add_image(data, name="clip", **settings)
    widget.frames.refresh()
    choose_engine(widget, "still")
    return widget


def grey(frames: np.ndarray) -> np.ndarray:
    return frames[..., 0]


KINDS: dict[str, tuple[Callable[[np.ndarray], Any], dict[str, Any]]] = {
    "rgb": (lambda f: f, {}),
    "rgba": (lambda f: np.concatenate([f, f[..., :1]], axis=3), {}),
    "grey": (grey, {}),
    "16 bit": (lambda f: grey(f).astype(np.uint16) * 200, {"contrast_limits": (0, 40_000)}),
    "float": (lambda f: grey(f) / 255, {}),
    "dask": (lambda f: da.from_array(f, chunks=(1, -1, -1, -1)), {"rgb": True}),
    "scaled": (lambda f: f, {"scale": (2, 0.5, 0.25), "translate": (3, 10, -4)}),
    "rotated": (grey, {"rotate": (0, 0, 30), "shear": (0, 0, 0.2)}),
    "multiscale": (lambda f: [grey(f), grey(f)[:, ::2, ::2]], {"multiscale": True}),
}


def test_stacks_that_work(open_widget: Open, frames: np.ndarray, qtbot: Any) -> None:
    widget = open_widget()
    layers = widget.model.viewer.layers
    choose_engine(widget, "still")
    for kind, (convert, settings) in KINDS.items():
        layers.clear()
        stack = widget.model.viewer.add_image(convert(frames), name=kind, **settings)
        qtbot.waitUntil(lambda stack=stack: widget.model.stack is stack)
        widget.new_query.click()
        query = widget.model.query
        assert query is not None
        paint_square(query, 2)
        run_to_its_end(qtbot, widget)
        for name in ("visible", "amodal"):
            assert (mask(layers[name], 7) == mask(query, 2)).all(), kind
            corner = (7, 47, 63)
            assert np.allclose(layers[name].data_to_world(corner), stack.data_to_world(corner))
        clip = clip_of(stack)
        assert clip.frames.shape == (8, 48, 64, 3), kind
        assert clip.frame(0).max() > 150, kind  # contrast limits are used
        widget.model.go_to(5)
        assert widget.model.frame == 5, kind


def test_channels_on_an_axis_become_grey_stacks(
    open_widget: Open, frames: np.ndarray, qtbot: Any
) -> None:
    widget = open_widget()
    widget.model.viewer.add_image(np.moveaxis(frames, 3, 1), channel_axis=1)
    widget.frames.refresh()
    choose_engine(widget, "still")
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 0)
    run_to_its_end(qtbot, widget)


REFUSED = (
    (np.zeros((8, 3, 48, 64), np.uint8), ("4 axes", "(8, 3, 48, 64)", "Split Stack")),
    (np.zeros((48, 64, 3), np.uint8), ("single image", "64x48")),
    (np.zeros((1, 48, 64, 3), np.uint8), ("one frame",)),
)


def test_stacks_that_are_refused(open_widget: Open, said: Said, qtbot: Any) -> None:
    widget = open_widget()
    for data, words in REFUSED:
        widget.model.viewer.layers.clear()
        layer = widget.model.viewer.add_image(data, name="clip")
        qtbot.waitUntil(lambda layer=layer: widget.model.stack is layer)
        widget.new_query.click()
        assert all(word in said()[-1] for word in ("clip", *words))
        assert all(word in widget.stage.text() for word in words)
        assert widget.model.query is None and not widget.run_button.isEnabled()
    assert len(said()) == len(REFUSED)


def test_empty_query(open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said) -> None:
    widget = with_image(open_widget, frames)
    widget.new_query.click()
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert "nothing is painted in 'query'" in said()[0]
    assert "nothing is painted in 'query'" in widget.stage.text()
    assert [layer.name for layer in widget.model.viewer.layers] == ["clip", "query"]


def test_query_on_several_frames(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_image(open_widget, frames)
    widget.new_query.click()
    query = widget.model.query
    assert query is not None
    paint_square(query, 1)
    paint_square(query, 6, corner=(30, 40))
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert "object 1 is painted on frames 1 and 6" in said()[0]
    assert "Use every painted frame" in said()[0]
    widget.every_frame.setChecked(True)
    run_to_its_end(qtbot, widget)
    assert (mask(widget.model.viewer.layers["visible"], 7) == mask(query, 6)).all()


MISFITS: tuple[tuple[tuple[int, ...], dict[str, Any], tuple[str, ...]], ...] = (
    ((8, 24, 32), {}, ("8 frames of 32x24", "8 frames of 64x48", "New")),
    ((48, 64), {}, ("2-dimensional", "New")),
    ((8, 48, 64), {"scale": (1, 2, 2)}, ("another scale", "New")),
    ((8, 48, 64), {"translate": (0, 0, 5)}, ("another scale, translate", "New")),
)


def test_query_that_does_not_fit(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_image(open_widget, frames)
    for shape, settings, words in MISFITS:
        labels = np.zeros(shape, np.int32)
        labels[..., 5:20, 5:20] = 1
        layer = widget.model.viewer.add_labels(labels, name="mine", **settings)
        qtbot.waitUntil(lambda layer=layer: widget.model.query is layer)
        press_run(qtbot, widget)
        assert all(word in said()[-1] for word in ("'mine'", *words))
        assert not widget.model.is_busy
        widget.model.viewer.layers.remove(layer)
        qtbot.waitUntil(lambda: widget.model.query is None)


def test_result_layer_of_another_size(
    open_widget: Open, frames: np.ndarray, qtbot: Any, said: Said
) -> None:
    widget = with_image(open_widget, frames)
    widget.new_query.click()
    assert widget.model.query is not None
    paint_square(widget.model.query, 1)
    run_to_its_end(qtbot, widget)
    widget.model.viewer.layers["amodal"].data = np.zeros((8, 10, 10), np.uint8)
    press_run(qtbot, widget)
    wait_until_idle(qtbot, widget)
    assert "'amodal' now has shape (8, 10, 10)" in said()[0]
