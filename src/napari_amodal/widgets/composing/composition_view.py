"""What the viewer shows of a composition: one kind of layers at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_amodal.compose.layers import Composition, Footage, placed_at_meeting
from napari_amodal.errors import InputError
from napari_amodal.widgets.composing.part import Part
from napari_amodal.widgets.composing.part_layers import (
    drag,
    place,
    preview_layers,
    shown_layer,
    source_layers,
)
from napari_amodal.widgets.query_layer import edit_events


class View(StrEnum):
    """What is shown."""

    SOURCE = "source"
    OVERLAP = "overlap"
    PREVIEW = "preview"


class CompositionView(QObject):
    """Our layers in the viewer; all others are left alone.

    Signals
    -------
    changed
        Another view is shown.
    stepped
        Another frame is shown.
    """

    changed = Signal()
    stepped = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.view: View | None = None
        self._layers: list[Layer] = []
        self._placed: list[tuple[Image, Part]] = []
        self._target: Footage | None = None
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def frame(self) -> int:
        return int(self.viewer.dims.current_step[0])

    def go_to(self, frame: int) -> None:
        self.viewer.dims.set_current_step(0, frame)

    def show_source(self, part: Part, painted: Callable[[], None]) -> None:
        """All frames of a part, and its masks to paint in; `painted` is called after strokes."""
        self._put(source_layers(part), View.SOURCE)
        labels = self._layers[-1]
        assert isinstance(labels, Labels)
        labels.mode = "paint"

        def on_paint(event: Any = None) -> None:
            part.look_at([self.frame])
            part.is_unsaved = True
            painted()

        for event in edit_events(labels):
            event.connect(on_paint)

    def show_overlap(
        self, parts: Sequence[Part], chosen: Part | None, moved: Callable[[float, float], None]
    ) -> None:
        """All parts in their places; dragging the chosen occluder calls `moved`.

        Raises
        ------
        InputError
            A value of a part is wrong.
        """
        target = Footage(parts[0].clip, parts[0].masks, parts[0].timing)
        placed = [
            (shown_layer(part.loose_occluder().footage, target.length, solid=False), part)
            for part in parts[1:]
        ]
        base = shown_layer(target, target.length, solid=True)
        self._put([base, *(layer for layer, _ in placed)], View.OVERLAP)
        self._target, self._placed = target, placed
        for layer, part in placed:
            if part is chosen:
                self.viewer.layers.selection.active = layer
                layer.mouse_pan = False
                layer.mouse_drag_callbacks.append(drag(moved))
        self.place_anew()

    def show_preview(self, found: Composition) -> None:
        self._put(preview_layers(found), View.PREVIEW)

    def place_anew(self) -> None:
        """Put the occluders of the overlap where they are in the shown frame."""
        if self._target is None:
            return
        for layer, part in self._placed:
            occluder = part.loose_occluder()
            with suppress(InputError):  # no masks yet, or not there then: composing says it
                occluder = placed_at_meeting(self._target, occluder)
            place(layer, occluder, self._target, self.frame)

    def refresh(self) -> None:
        """Draw anew what was written into arrays of our layers."""
        for layer in self._layers:
            layer.refresh()

    def clear(self) -> None:
        self._put([], None)

    def _put(self, layers: list[Layer], view: View | None) -> None:
        kept, frame = self.view is view, self.frame
        before, self._layers = self._layers, []
        self._placed, self._target = [], None
        names = [layer.name for layer in layers]
        # The new ones first: a viewer that is empty for a moment draws while it loses its axes,
        # which has crashed in OpenGL.
        for layer in layers:
            self.viewer.add_layer(layer)
        for layer in before:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        for layer, name in zip(layers, names, strict=True):
            layer.name = name  # the old ones may have had it until now
        self.view = view
        self._layers = layers
        if layers:
            self.viewer.layers.selection.active = layers[-1]
            self.go_to(frame if kept else 0)
            if not kept:
                self.viewer.reset_view()
        self.changed.emit()

    def _on_step(self, event: Any = None) -> None:
        self.place_anew()
        self.stepped.emit()

    def _on_removed(self, event: Any) -> None:
        """The person took a layer away; what is left is theirs to look at."""
        if event.value in self._layers:
            self._layers.remove(event.value)
            self._placed = [pair for pair in self._placed if pair[0] is not event.value]
            if not self._layers:
                self.view = None
                self.changed.emit()
