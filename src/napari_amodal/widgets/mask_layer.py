"""One Labels layer that shows masks of the annotation, and in which the annotator paints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_amodal.annotation.object_annotation import ObjectAnnotation
from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.masks import EMPTY, Mask, MaskStack, PackedMask
from napari_amodal.widgets.label_colors import mask_colors
from napari_amodal.widgets.layer_clip import LayerGrid
from napari_amodal.widgets.layer_origin import ORIGIN_KEY, LayerOrigin, LayerRole, origin_of
from napari_amodal.widgets.mask_volume import mask_volume
from napari_amodal.widgets.strokes import forget_strokes

#: The hidden part shows only the amodal layer, so that one is the lighter.
OPACITY = {LayerRole.VISIBLE: 0.45, LayerRole.AMODAL: 0.45}


class MaskLayer:
    """The masks of one object, seen or whole.

    It remembers what was written to each frame; what differs from that was painted.

    Parameters
    ----------
    layer : napari.layers.Labels
        ``(T, H, W)``; every pixel that is not 0 is the mask.
    role : LayerRole
        `VISIBLE` or `AMODAL`.
    object_id : int
        The label value that is written.
    """

    def __init__(self, layer: Labels, role: LayerRole, object_id: int) -> None:
        self.layer = layer
        self.role = role
        self.object_id = object_id
        self.shape = tuple(layer.data.shape)
        #: A folder gave the masks: no run may write over them.
        self.is_given = False
        #: Frames that are being painted, or were and have not been heard yet.
        self.touched: set[int] = set()
        self._written: dict[int, PackedMask] = {}
        self._writing: int | None = None

    @classmethod
    def make(
        cls, role: LayerRole, object_id: int, name: str, color: str, grid: LayerGrid, clip: Clip
    ) -> MaskLayer:
        """An empty one over a frame stack; its layer is in no viewer yet."""
        layer = Labels(
            mask_volume(grid.shape),
            name=name,
            opacity=OPACITY[role],
            colormap=mask_colors(role, object_id, color),
            metadata=LayerOrigin(role, clip, object_id, is_followed=True).as_metadata(),
            **grid.placement,
        )
        layer.selected_label = object_id
        return cls(layer, role, object_id)

    @classmethod
    def given(cls, layer: Labels, origin: LayerOrigin) -> MaskLayer:
        """A layer that was opened from a folder."""
        assert origin.object_id is not None and origin.annotation is not None
        found = cls(layer, origin.role, origin.object_id)
        found.is_given = True
        masks = getattr(origin.annotation, str(origin.role))
        found._written = dict(enumerate(masks.packed))
        return found

    def note_origin(self, origin: LayerOrigin) -> None:
        """Say in the layer's metadata where its masks came from."""
        self.layer.metadata[ORIGIN_KEY] = replace(origin, role=self.role, object_id=self.object_id)

    @property
    def origin(self) -> LayerOrigin | None:
        return origin_of(self.layer.metadata)

    def recolor(self, color: str) -> None:
        if not self.is_given:
            self.layer.colormap = mask_colors(self.role, self.object_id, color)

    def mask(self, frame: int) -> Mask:
        """The mask of a frame as it is in the layer, bool ``(H, W)``."""
        return np.asarray(self.layer.data[frame]) != 0

    @property
    def fits(self) -> bool:
        """Whether the layer's data still has the size of the frames."""
        return tuple(self.layer.data.shape) == self.shape

    def check_shape(self) -> None:
        """Raise `InputError` if the layer's data was replaced by something of another size."""
        if not self.fits:
            raise InputError(
                f"{self.layer.name!r} now has shape {tuple(self.layer.data.shape)}, the frames "
                f"have {self.shape}: delete the layer and run again"
            )

    def shows(self, frame: int, mask: PackedMask) -> bool:
        """Whether a mask is what was written last."""
        return self._written.get(frame, EMPTY) == mask

    def painted(self, frames: Iterable[int], check: Callable[[], None]) -> dict[int, Mask]:
        """Those frames whose masks differ from what was written; `check` is asked at each."""
        self.check_shape()
        found = {}
        for frame in frames:
            check()
            written, mask = self._as_it_is(frame)
            if PackedMask.of(mask) != written:
                found[frame] = mask
        return found

    def _as_it_is(self, frame: int) -> tuple[PackedMask, Mask]:
        """What was written to a frame, and what is there; safe while the window writes to it."""
        while True:
            written = self._written.get(frame, EMPTY)
            mask = self.mask(frame)
            if self._writing != frame and self._written.get(frame, EMPTY) is written:
                return written, mask
            time.sleep(0.001)

    def note_heard(self, frame: int, mask: PackedMask) -> None:
        """Take what was painted on a frame as written."""
        self._written[frame] = mask

    def write(self, frame: int, mask: PackedMask) -> bool:
        """Put a mask into the layer; say if pixels changed. Not where somebody is painting."""
        if not self.fits or frame in self.touched or self.shows(frame, mask):
            return False
        self._writing = frame
        pixels: Any = self.layer.data[frame]
        before = self._written.get(frame, EMPTY)
        if before.box is not None:
            pixels[before.box.slices] = 0
        if mask.box is not None:
            pixels[mask.box.slices][mask.pixels()] = self.object_id
        self._written[frame] = mask
        self._writing = None
        forget_strokes(self.layer, frame)
        return True


def masks_of(annotated: ObjectAnnotation, role: LayerRole) -> MaskStack:
    """The masks of an object that its layer of a role shows."""
    return annotated.visible if role is LayerRole.VISIBLE else annotated.amodal


def has_masks(annotated: ObjectAnnotation) -> bool:
    """Whether there is anything to show in the layers of an object."""
    stacks = annotated.visible, annotated.amodal
    return any(mask.box is not None for stack in stacks for mask in stack.packed)
