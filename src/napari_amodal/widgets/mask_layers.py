"""The layers *visible* and *amodal* of each object: they show the annotation and hear the brush."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, QTimer

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.clip import Clip
from napari_amodal.masks import Mask, PackedMask
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.layer_clip import LayerGrid, current_frame, grid_of
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole
from napari_amodal.widgets.mask_layer import MaskLayer, has_masks, masks_of
from napari_amodal.widgets.stroke_watch import StrokeWatch

#: Bottom to top. An object has layers of its own, because whole objects overlap where one hides
#: the other.
ROLES = (LayerRole.AMODAL, LayerRole.VISIBLE)

#: Pause between turns of writing to layers (ms), and how long a turn may take (s).
PAUSE_MS = 15
BUDGET = 0.010

#: Masks by object, role and frame.
Painted = dict[int, dict[LayerRole, dict[int, Mask]]]


class MaskLayers(QObject):
    """Keeps a pair of Labels layers an object as the annotation is, a little at a time.

    The shown frame is always written at once. What the annotator paints goes into the annotation
    when the stroke is over.
    """

    def __init__(
        self, annotation: AnnotationModel, viewer: ViewerModel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._annotation = annotation
        self._viewer = viewer
        self.stack: Image | None = None
        self.clip: Clip | None = None
        self.grid: LayerGrid | None = None
        self._layers: dict[tuple[LayerRole, int], MaskLayer] = {}
        self._watches: dict[tuple[LayerRole, int], StrokeWatch] = {}
        self._stale: dict[tuple[LayerRole, int], dict[int, None]] = {}
        self._top: Labels | None = None
        self._unwanted: set[tuple[LayerRole, int]] = set()
        self._is_removing = False
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._catch_up)
        annotation.frames_changed.connect(self._on_frames_changed)
        annotation.objects_changed.connect(self._on_objects_changed)

    # -- which layers -----------------------------------------------------------------------------

    def begin(self, stack: Image, clip: Clip) -> None:
        """Show the annotation over a frame stack, in layers that are made when they are needed."""
        self.leave()
        self.stack, self.clip, self.grid = stack, clip, grid_of(stack)

    def leave(self) -> None:
        """Follow nothing; the layers stay in the viewer as they are."""
        for key in list(self._layers):
            self._drop(key)
        self.stack = self.clip = self.grid = None
        self._unwanted.clear()
        self._timer.stop()

    def _drop(self, key: tuple[LayerRole, int]) -> None:
        self._watches.pop(key).stop()
        self._stale.pop(key, None)
        del self._layers[key]

    def adopt(self, layer: Labels, origin: LayerOrigin) -> None:
        """Take a layer that a folder gave; frames that the annotation has otherwise are written."""
        found = MaskLayer.given(layer, origin)
        self._follow(found)
        annotated = self._annotation.objects[found.object_id]
        masks = masks_of(annotated, found.role).packed
        self._mark(found, [f for f, mask in enumerate(masks) if not found.shows(f, mask)])

    def leave_given(self) -> None:
        """Leave layers that a folder gave as they are; others are made for what comes."""
        for key, found in list(self._layers.items()):
            if found.is_given:
                self._drop(key)

    def forget(self, layer: Layer) -> bool:
        """Drop a layer that was removed from the viewer; say if it was one of these."""
        for key, found in list(self._layers.items()):
            if found.layer is layer:
                self._drop(key)
                if not self._is_removing:
                    self._unwanted.add(key)
                return not self._is_removing
        return False

    def show_all(self) -> None:
        """Make layers that were removed from the viewer again."""
        self._unwanted.clear()
        self._timer.start()

    @property
    def layers(self) -> tuple[MaskLayer, ...]:
        return tuple(self._layers.values())

    def get(self, role: LayerRole, object_id: int) -> MaskLayer | None:
        return self._layers.get((role, object_id))

    def holds(self, layer: Layer) -> bool:
        return any(found.layer is layer for found in self.layers)

    @property
    def has_given(self) -> bool:
        return any(found.is_given for found in self.layers)

    def put_below(self, top: Labels | None) -> None:
        """Put layers that are made from now on below another one, the query."""
        self._top = top

    def make_missing(self, most: int = 2) -> bool:
        """Make layers for objects that have masks, at most so many; say if any was made."""
        missing = self._missing()[:most]
        for role, object_id in missing:
            self._make(role, object_id, self._annotation.objects[object_id])
        return bool(missing)

    def _missing(self) -> list[tuple[LayerRole, int]]:
        return [
            (role, object_id)
            for object_id, annotated in self._annotation.objects.items()
            for role in ROLES
            if (role, object_id) not in self._layers.keys() | self._unwanted
            and has_masks(annotated)
        ]

    def _make(self, role: LayerRole, object_id: int, annotated: ObjectAnnotation) -> None:
        assert self.grid is not None and self.clip is not None
        several = len(self._annotation.objects) > 1
        name = f"{role} {object_id}" if several else str(role)
        made = MaskLayer.make(role, object_id, name, annotated.color, self.grid, self.clip)
        made.layer.visible = annotated.is_shown
        stack = masks_of(annotated, role)
        frames = [frame for frame, box in enumerate(stack.boxes) if box is not None]
        self._follow(made)
        self._add(made.layer)
        self._mark(made, frames)

    def _add(self, layer: Labels) -> None:
        """Add a layer to the viewer, under the query if there is one; the selection stays."""
        layers = self._viewer.layers
        active = layers.selection.active
        top = self._top
        layers.insert(
            layers.index(top) if top is not None and top in layers else len(layers), layer
        )
        if active is not None and active in layers:
            layers.selection.active = active

    def _follow(self, found: MaskLayer) -> None:
        key = found.role, found.object_id
        self._layers[key] = found
        self._stale[key] = {}
        watch = StrokeWatch(found.layer, lambda: self.frame, self)
        watch.begun.connect(lambda frame, found=found: found.touched.add(frame))
        watch.painted.connect(lambda frames, found=found: self._hear(found, frames))
        self._watches[key] = watch

    # -- painting ---------------------------------------------------------------------------------

    @property
    def frame(self) -> int:
        """The frame that the viewer shows."""
        return 0 if self.stack is None else current_frame(self.stack, self._viewer.dims.point)

    def hear_now(self) -> None:
        """Take what was painted until now, without waiting for the stroke's end."""
        for watch in list(self._watches.values()):
            watch.settle()

    def hear(self, painted: Painted) -> None:
        """Take the frames that `painted` found, as they are now."""
        for object_id, by_role in painted.items():
            for role, masks in by_role.items():
                found = self.get(role, object_id)
                if found is not None:
                    self._hear(found, masks)

    def painted(self, check: Callable[[], None]) -> Painted:
        """All that differs from the annotation; slow, for a worker thread."""
        painted: Painted = {}
        for (role, object_id), found in list(self._layers.items()):
            waiting = self._stale.get((role, object_id), {})
            frames = [frame for frame in range(found.shape[0]) if frame not in waiting]
            masks = found.painted(frames, check)
            if masks:
                painted.setdefault(object_id, {})[role] = masks
        return painted

    def _hear(self, found: MaskLayer, frames: Iterable[int]) -> None:
        heard = sorted(found.touched | set(frames))
        found.touched.clear()
        if found.fits and found.object_id in self._annotation.objects:
            waiting = self._stale[found.role, found.object_id]
            # what waits to be written differs from the annotation without having been painted
            self._take(found, found.painted((f for f in heard if f not in waiting), _go_on))
        self._mark(found, heard)

    def _take(self, found: MaskLayer, masks: dict[int, Mask]) -> None:
        for frame, mask in masks.items():
            found.note_heard(frame, PackedMask.of(mask))
        if masks:
            self._annotation.paint(found.object_id, found.role, masks)

    # -- showing ----------------------------------------------------------------------------------

    def show_frame(self) -> None:
        """Write the frame that is shown now, if it waits."""
        frame = self.frame
        for key, waiting in self._stale.items():
            if frame in waiting:
                self._write(self._layers[key], frame)

    @property
    def is_up_to_date(self) -> bool:
        """Whether every layer shows the annotation as it is."""
        return not any(self._stale.values()) and (self.stack is None or not self._missing())

    def _on_frames_changed(self, object_id: int, frames: frozenset[int]) -> None:
        if self.stack is None:
            return
        self._timer.start()  # it may be the first mask of its object
        for role in ROLES:
            found = self.get(role, object_id)
            if found is not None:
                self._mark(found, frames)

    def _mark(self, found: MaskLayer, frames: Iterable[int]) -> None:
        """Let frames be written, the shown one now."""
        stale, shown = self._stale[found.role, found.object_id], self.frame
        for frame in frames:
            stale[frame] = None
        if shown in stale:
            self._write(found, shown)
        if stale:
            self._timer.start()

    def _write(self, found: MaskLayer, frame: int) -> None:
        annotated = self._annotation.objects.get(found.object_id)
        if frame in found.touched:
            return  # it waits until the stroke is over
        self._stale[found.role, found.object_id].pop(frame, None)
        if annotated is None:
            return
        if (
            found.write(frame, masks_of(annotated, found.role).packed[frame])
            and frame == self.frame
        ):
            found.layer.refresh()

    def _catch_up(self) -> None:
        if self.stack is None or self.make_missing(1):
            return  # napari takes a while over a layer: one a turn
        until = time.monotonic() + BUDGET
        for key, waiting in self._stale.items():
            for frame in [frame for frame in waiting if frame not in self._layers[key].touched]:
                self._write(self._layers[key], frame)
                if time.monotonic() > until:
                    return
        self._timer.stop()

    def _on_objects_changed(self) -> None:
        objects = self._annotation.objects
        for (role, object_id), found in list(self._layers.items()):
            annotated = objects.get(object_id)
            if annotated is None:
                self._remove(found)
                continue
            found.recolor(annotated.color)
            if found.layer.visible != annotated.is_shown:
                found.layer.visible = annotated.is_shown
            if not found.is_given and found.layer.name == str(role) and len(objects) > 1:
                found.layer.name = f"{role} {object_id}"
        self._timer.start()

    def _remove(self, found: MaskLayer) -> None:
        self._is_removing = True
        try:
            if found.layer in self._viewer.layers:
                self._viewer.layers.remove(found.layer)
            else:
                self._drop((found.role, found.object_id))
        finally:
            self._is_removing = False


def _go_on() -> None:
    """Nothing to check in the window's thread."""
