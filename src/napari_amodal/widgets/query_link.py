"""Keeps the annotation's queries and the layer in which they are painted the same."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.masks import EMPTY, Mask, PackedMask
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.layer_clip import current_frame
from napari_amodal.widgets.layer_origin import LayerRole, origin_of
from napari_amodal.widgets.query_layer import painted_labels
from napari_amodal.widgets.query_watch import QueryWatch
from napari_amodal.widgets.stroke_watch import StrokeWatch
from napari_amodal.widgets.strokes import forget_strokes


class QueryLink(QObject):
    """Follows the chosen query layer: one label value an object.

    Layers that are made for queries are kept as the annotation is, undo and session included. Of
    any other Labels layer only the strokes are heard, and nothing is written to it.
    """

    def __init__(
        self, annotation: AnnotationModel, viewer: ViewerModel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._annotation = annotation
        self._viewer = viewer
        self._layer: Labels | None = None
        self._strokes: StrokeWatch | None = None
        self._known: dict[tuple[int, int], PackedMask] = {}
        self._adopted: set[int] = set()
        self.search = QueryWatch(viewer.dims, self)
        self.search.changed.connect(self._adopt)
        annotation.frames_changed.connect(self._on_frames_changed)
        annotation.opened.connect(self._on_opened)

    def follow(self, layer: Labels | None) -> None:
        """Follow another layer, or none."""
        if layer is self._layer:
            return
        if self._strokes is not None:
            self._strokes.stop()
        self._layer, self._strokes = layer, None
        self._known, self._adopted = {}, set()
        if layer is not None and self._fits(layer):
            self._strokes = StrokeWatch(layer, self._shown_frame, self)
            self._strokes.painted.connect(self._hear)
        self.search.follow(layer)

    def hear_now(self) -> None:
        """Take what was painted until now, without waiting for the stroke's end."""
        if self._strokes is not None:
            self._strokes.settle()

    def fill(self, layer: Labels) -> None:
        """Paint the annotation's queries into a new layer."""
        for object_id, annotated in self._annotation.objects.items():
            for frame in annotated.query_frames:
                layer.data[frame][annotated.query[frame]] = object_id

    @property
    def _is_ours(self) -> bool:
        origin = None if self._layer is None else origin_of(self._layer.metadata)
        return origin is not None and origin.role is LayerRole.QUERY

    def _fits(self, layer: Labels) -> bool:
        shape = tuple(layer.data.shape) if not layer.multiscale else ()
        origin = origin_of(layer.metadata)
        is_mask = origin is not None and origin.role is not LayerRole.QUERY
        return self._annotation.is_open and shape == self._annotation.state.shape and not is_mask

    def _shown_frame(self) -> int:
        return 0 if self._layer is None else current_frame(self._layer, self._viewer.dims.point)

    # -- from the layer ---------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Take over what the search has found in a layer that came with queries."""
        if self._layer is None or not self._is_ours or not self._fits(self._layer):
            return
        self.hear_now()  # strokes are steps of their own
        queries: dict[int, dict[int, Mask]] = {}
        for frame, labels in self.search.painted.items():
            if frame not in self._adopted:
                self._adopted.add(frame)
                for object_id in labels:
                    mask = self._mask(object_id, frame)
                    self._known[object_id, frame] = PackedMask.of(mask)
                    queries.setdefault(object_id, {})[frame] = mask
        self._annotation.adopt_queries(queries)

    def _hear(self, frames: frozenset[int]) -> None:
        if self._layer is None or not self._fits(self._layer):
            return
        for frame in sorted(frames):
            self._adopted.add(frame)
            labels = painted_labels(np.asarray(self._layer.data[frame]))
            known = {
                object_id
                for object_id, found in self._annotation.objects.items()
                if frame in found.query_frames
            }
            for object_id in sorted(known | set(labels)):
                self._hear_object(object_id, frame)

    def _hear_object(self, object_id: int, frame: int) -> None:
        mask = self._mask(object_id, frame)
        packed = PackedMask.of(mask)
        self._known[object_id, frame] = packed
        if packed != _query(self._annotation.objects.get(object_id), frame):
            self._annotation.paint(object_id, LayerRole.QUERY, {frame: mask})

    def _mask(self, object_id: int, frame: int) -> Mask:
        assert self._layer is not None
        return np.asarray(np.asarray(self._layer.data[frame]) == object_id, np.bool_)

    # -- to the layer -----------------------------------------------------------------------------

    def _on_opened(self) -> None:
        layer, self._layer = self._layer, None
        self.follow(layer)

    def _on_frames_changed(self, object_id: int, frames: frozenset[int]) -> None:
        if self._layer is None or not self._is_ours or not self._fits(self._layer):
            return
        annotated = self._annotation.objects.get(object_id)
        for frame in frames:
            wanted = _query(annotated, frame)
            if wanted != self._known.get((object_id, frame), EMPTY):
                self._write(self._layer, object_id, frame, wanted)

    def _write(self, layer: Labels, object_id: int, frame: int, wanted: PackedMask) -> None:
        pixels = layer.data[frame]
        pixels[np.asarray(pixels) == object_id] = 0
        if wanted.box is not None:
            pixels[wanted.box.slices][wanted.pixels()] = object_id
        self._known[object_id, frame] = wanted
        self._adopted.add(frame)
        forget_strokes(layer, frame)
        if frame == self._shown_frame():
            layer.refresh()
        self.search.look_at(frame)


def _query(annotated: ObjectAnnotation | None, frame: int) -> PackedMask:
    if annotated is None or frame not in annotated.query_frames:
        return EMPTY
    return annotated.query.packed[frame]
