"""Pointing at an object: clicks and a box become its query mask while one looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.notifications import notification_manager, show_error, show_info
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.object_annotation import ObjectAnnotation, with_clicks, with_query
from napari_amodal.boxes import Box
from napari_amodal.clip import Frame
from napari_amodal.errors import CallError, InputError
from napari_amodal.masks import Mask
from napari_amodal.registry import prompter_names, prompter_type
from napari_amodal.stages import Clicks, Prompter
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.layer_clip import grid_of

INSIDE, OUTSIDE, BOX = "#37d05c", "#ff4d4d", "#f2d53c"
#: Radius of a drawn click as a share of the frame's height; a press moved further than this, in
#: pixels of the frame, is a box.
_DOT, _DRAG = 0.008, 4.0
_TICK_MS = 20


class Prompting(QObject):
    """The mode in which the mouse points at the current object on the shown frame.

    A click is a point on the object; with Alt or the right button one beside it; a drag is a box.
    Every one is a step of the history, with the mask that follows from all of them.

    Signals
    -------
    changed
        The mode is on or off, a mask is being made or has come.
    """

    changed = Signal()

    def __init__(self, model: CompletionModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model, self._annotation = model, model.annotation
        self._layer: Shapes | None = None
        self._before: Any = None
        self._prompters: dict[str, Prompter] = {}
        self.method = best_prompter()
        self._frame: tuple[int, Frame] | None = None
        self._job: BackgroundJob[Mask] | None = None
        #: The object, frame and clicks that a mask is made for; and those that came since.
        self._asked: tuple[int, int, Clicks] | None = None
        self._waiting: tuple[int, int, Clicks] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        model.viewer.layers.events.removed.connect(self._on_removed)
        self._annotation.frames_changed.connect(self._on_frames)
        self._annotation.current_changed.connect(self._draw)
        self._annotation.opened.connect(self._on_opened)

    # -- the mode ---------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        return self._layer is not None

    @property
    def is_busy(self) -> bool:
        """Whether a mask is being made."""
        return self._job is not None

    def start(self) -> None:
        """Let the mouse point; the layers below stay as they are."""
        if self.is_on:
            return
        if self._model.stack is None or not self._annotation.is_open:
            show_info("Open a clip first: drop a video or a folder here, or File > Open Sample")
            return
        layers = self._model.viewer.layers
        if self._annotation.current is None:
            self._annotation.add_object()
        if self._model.query is None:
            self._model.make_query()
            query = layers.selection.active
            if isinstance(query, Labels):
                query.mode = "pan_zoom"  # who clicks does not find a brush in the end
        self._before = layers.selection.active
        layer = self._made()
        self._model.viewer.add_layer(layer)
        layers.selection.active = layer
        layer.mode = "pan_zoom"
        layer.mouse_pan = False
        layer.mouse_drag_callbacks.append(self._on_press)
        self._layer = layer
        self._draw()
        self.changed.emit()

    def stop(self) -> None:
        """Keep the masks and give the mouse back."""
        if self._layer is not None:
            self._model.viewer.layers.remove(self._layer)

    def reset(self) -> None:
        """Forget what was pointed at on the shown frame, and its query mask; one step."""
        current, frame = self._annotation.current, self._model.frame
        if current is None:
            return

        def cleared(now: ObjectAnnotation) -> ObjectAnnotation:
            if frame not in now.clicks and frame not in now.query_frames:
                return now
            return with_clicks(with_query(now, frame, None), frame, None)

        self._waiting = None
        if self._job is not None:
            self._job.cancel()
            self._asked = None
        self._annotation.change(f"Reset the query, frame {frame}", current, cleared)

    def _made(self) -> Shapes:
        assert self._model.stack is not None
        grid = grid_of(self._model.stack)
        return Shapes(ndim=3, name="clicks", face_color="transparent", **grid.placement)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            layers = self._model.viewer.layers
            if self._before is not None and self._before in layers:
                layers.selection.active = self._before
            self._before = None
            self.changed.emit()

    def _on_opened(self) -> None:
        self._frame, self._waiting, self._asked = None, None, None
        self.stop()

    # -- what the mouse does ----------------------------------------------------------------------

    def _on_press(self, layer: Shapes, event: Any) -> Iterator[None]:
        start = self._place(layer, event)
        is_outside = event.button == 2 or "Alt" in event.modifiers
        end = start
        yield
        while event.type == "mouse_move":
            end = self._place(layer, event)
            if _is_drag(start, end):
                self._draw(_box_between(start, end))
            yield
        if _is_drag(start, end) and not is_outside:
            self.point(box=_box_between(start, end))
        elif is_outside:
            self.point(outside=start)
        else:
            self.point(inside=start)

    def _place(self, layer: Shapes, event: Any) -> tuple[float, float]:
        y, x = layer.world_to_data(event.position)[-2:]
        return float(y), float(x)

    def point(
        self,
        inside: tuple[float, float] | None = None,
        outside: tuple[float, float] | None = None,
        box: Box | None = None,
    ) -> None:
        """Point at the current object on the shown frame, ``(y, x)`` in pixels of the frame.

        A box takes the place of an earlier one, and of all clicks.
        """
        current, frame = self._annotation.current, self._model.frame
        if current is None or not self._is_in_frame(inside, outside, box):
            return
        self._model.hear_now()
        before = self._pointed_at(current, frame)
        if box is not None:
            after = Clicks(box=box)
        elif inside is not None:
            known = before or Clicks((inside,))
            after = known if before is None else replace(known, inside=(*known.inside, inside))
        elif before is None:
            show_info("Click on the object first, or draw a box around it")
            return
        else:
            assert outside is not None
            after = replace(before, outside=(*before.outside, outside))
        self._waiting = current, frame, after
        self._draw()
        self._next()

    def _is_in_frame(
        self,
        inside: tuple[float, float] | None,
        outside: tuple[float, float] | None,
        box: Box | None,
    ) -> bool:
        _, height, width = self._annotation.state.shape
        if box is not None:
            return box.clipped(height, width) is not None
        y, x = inside or outside or (-1, -1)
        return -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5

    def _pointed_at(self, object_id: int, frame: int) -> Clicks | None:
        """What was pointed at until now, the last clicks included whose mask is not made yet."""
        for asked in (self._waiting, self._asked):
            if asked is not None and asked[:2] == (object_id, frame):
                return asked[2]
        return self._annotation.objects[object_id].clicks.get(frame)

    # -- the mask ---------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._job is not None or self._waiting is None:
            return
        self._asked, self._waiting = self._waiting, None
        object_id, frame, clicks = self._asked
        annotated = self._annotation.objects[object_id]
        known = annotated.clicks.get(frame)
        begin = annotated.query[frame] if known is not None and _follows(clicks, known) else None
        clip, held, method = self._annotation.clip, self._frame, self.method
        assert clip is not None

        def work(job: BackgroundJob[Mask]) -> Mask:
            pixels = held[1] if held is not None and held[0] == frame else clip.frame(frame)
            self._frame = frame, pixels
            return self._prompter(method).mask(pixels, clicks, begin)

        self._job = BackgroundJob(work)
        self._job.start()
        self._timer.start()
        self.changed.emit()

    def _prompter(self, name: str) -> Prompter:
        if name not in self._prompters:
            self._prompters[name] = prompter_type(name)()
        return self._prompters[name]

    def _tick(self) -> None:
        job = self._job
        if job is None or job.is_alive:
            return
        asked, self._job, self._asked = self._asked, None, None
        if asked is not None and job.result is not None and asked[0] in self._annotation.objects:
            self._take(*asked, job.result)
        elif asked is not None and job.error is not None:
            _notify(job.error)
            self._draw()
        self._next()
        if self._job is None:
            self._timer.stop()
        self.changed.emit()

    def _take(self, object_id: int, frame: int, clicks: Clicks, mask: Mask) -> None:
        def pointed(now: ObjectAnnotation) -> ObjectAnnotation:
            return with_clicks(with_query(now, frame, mask), frame, clicks)

        what = "Box" if clicks.box and not (clicks.inside or clicks.outside) else "Click"
        self._annotation.change(f"{what}, frame {frame}", object_id, pointed)

    # -- what is drawn ----------------------------------------------------------------------------

    def _on_frames(self, object_id: int, frames: frozenset[int]) -> None:
        if object_id == self._annotation.current:
            self._draw()

    def _draw(self, dragged: Box | None = None) -> None:
        """Draw what is pointed at, in all frames of the current object."""
        layer, current = self._layer, self._annotation.current
        if layer is None:
            return
        shapes: list[tuple[np.ndarray, str, str]] = []
        if current is not None and current in self._annotation.objects:
            pointed = dict(self._annotation.objects[current].clicks)
            for asked in (self._asked, self._waiting):
                if asked is not None and asked[0] == current:
                    pointed[asked[1]] = asked[2]
            radius = max(1.5, _DOT * self._annotation.state.shape[1])
            for frame, clicks in pointed.items():
                shapes += _shapes_of(frame, clicks, radius)
        if dragged is not None:
            shapes.append((_corners(self._model.frame, dragged), "rectangle", BOX))
        layer.data = []
        for kind in ("rectangle", "ellipse"):
            chosen = [(corners, color) for corners, own, color in shapes if own == kind]
            if chosen:
                colors = [color for _, color in chosen]
                layer.add(
                    [corners for corners, _ in chosen],
                    shape_type=kind,
                    edge_color=colors,
                    face_color="transparent" if kind == "rectangle" else colors,
                    edge_width=max(1.0, 0.003 * self._annotation.state.shape[1]),
                )
        layer.selected_data = set()


def _shapes_of(frame: int, clicks: Clicks, radius: float) -> list[tuple[np.ndarray, str, str]]:
    found = []
    if clicks.box is not None:
        found.append((_corners(frame, clicks.box), "rectangle", BOX))
    for points, color in ((clicks.inside, INSIDE), (clicks.outside, OUTSIDE)):
        for y, x in points:
            sides = (y - radius, x - radius, y + radius, x + radius)
            found.append((_corners_of(frame, sides), "ellipse", color))
    return found


def _corners(frame: int, box: Box) -> np.ndarray:
    return _corners_of(frame, (box.y0 - 0.5, box.x0 - 0.5, box.y1 - 0.5, box.x1 - 0.5))


def _corners_of(frame: int, sides: tuple[float, float, float, float]) -> np.ndarray:
    y0, x0, y1, x1 = sides
    return np.array([[frame, y0, x0], [frame, y0, x1], [frame, y1, x1], [frame, y1, x0]])


def _box_between(start: tuple[float, float], end: tuple[float, float]) -> Box:
    (y0, y1), (x0, x1) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    top, left = round(y0), round(x0)
    return Box(top, left, max(top + 1, round(y1) + 1), max(left + 1, round(x1) + 1))


def _is_drag(start: tuple[float, float], end: tuple[float, float]) -> bool:
    return min(abs(start[0] - end[0]), abs(start[1] - end[1])) >= _DRAG


def _follows(after: Clicks, before: Clicks) -> bool:
    """Whether clicks go on from others, so that the mask of those is to be corrected."""
    same = after.box == before.box
    return (
        same
        and after.inside[: len(before.inside)] == before.inside
        and after.outside[: len(before.outside)] == before.outside
    )


def best_prompter() -> str:
    """The one of highest rank that lacks nothing here."""
    found = []
    for name in prompter_names():
        try:
            kind = prompter_type(name)
        except CallError:  # another package's, half installed
            continue
        if not kind.missing():
            found.append((kind.rank, name))
    return max(found)[1]


def _notify(error: BaseException) -> None:
    if isinstance(error, InputError | CallError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
