"""One Labels layer that runs fill and the annotator corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from napari.layers import Labels

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.widgets.label_colors import label_colors
from napari_amodal.widgets.layer_clip import LayerGrid
from napari_amodal.widgets.layer_origin import ORIGIN_KEY, LayerOrigin, LayerRole, origin_of
from napari_amodal.widgets.mask_patch import EMPTY, MaskPatch
from napari_amodal.widgets.mask_volume import mask_volume

#: The hidden part shows only the amodal layer, so that one is the lighter.
OPACITY = {LayerRole.VISIBLE: 0.45, LayerRole.AMODAL: 0.45}


class ResultLayer:
    """The masks of one object, seen or whole.

    A run writes a frame only where the layer still holds what a run wrote last; what differs is the
    annotator's and stays. Reading (`edited_frames`, `stack`) is safe in any thread, writing belongs
    to the window's.

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
        #: A folder gave the masks, no run may write over them.
        self.is_given = False
        self._written: dict[int, MaskPatch] = {}
        self._kept: set[int] = set()

    @classmethod
    def make(
        cls, role: LayerRole, object_id: int, name: str, grid: LayerGrid, clip: Clip
    ) -> ResultLayer:
        """An empty one over a frame stack; its layer is in no viewer yet."""
        layer = Labels(
            mask_volume(grid.shape),
            name=name,
            opacity=OPACITY[role],
            colormap=label_colors(role),
            metadata=LayerOrigin(role, clip, object_id).as_metadata(),
            **grid.placement,
        )
        layer.selected_label = object_id
        return cls(layer, role, object_id)

    @classmethod
    def given(cls, layer: Labels, origin: LayerOrigin) -> ResultLayer:
        """A layer that was opened from a folder."""
        assert origin.object_id is not None and origin.annotation is not None
        result = cls(layer, origin.role, origin.object_id)
        result.is_given = True
        masks = getattr(origin.annotation, str(origin.role))
        result._written = {
            frame: MaskPatch.from_stack(masks, frame)
            for frame, box in enumerate(masks.boxes)
            if box is not None
        }
        return result

    def note_origin(self, origin: LayerOrigin) -> None:
        """Say in the layer's metadata where its masks came from."""
        self.layer.metadata[ORIGIN_KEY] = replace(origin, role=self.role, object_id=self.object_id)

    @property
    def origin(self) -> LayerOrigin | None:
        return origin_of(self.layer.metadata)

    def mask(self, frame: int) -> Mask:
        """The mask of a frame as it is now, bool ``(H, W)``."""
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

    def has(self, frame: int) -> bool:
        """Whether a mask of a frame is there, be it an empty one."""
        known = self.is_given or frame in self._written or frame in self._kept
        return known and self.fits

    def is_edited(self, frame: int) -> bool:
        """Whether a frame's mask is the annotator's."""
        return frame in self._kept or self._differs(frame)

    def _differs(self, frame: int) -> bool:
        return MaskPatch.of(self.mask(frame)) != self._written.get(frame, EMPTY)

    def edited_frames(self, check: Callable[[], None]) -> set[int]:
        """The frames whose masks are the annotator's; `check` is asked at each."""
        self.check_shape()
        found = set()
        for frame in range(self.shape[0]):
            check()
            if self.is_edited(frame):
                found.add(frame)
        return found

    def keep(self, frames: set[int]) -> None:
        """Take frames as the annotator's for good, whatever a run finds."""
        self._kept |= frames

    def release(self, frames: set[int]) -> None:
        """Let runs write to frames again, though they hold corrections."""
        self._kept -= frames
        for frame in frames:
            self._written[frame] = MaskPatch.of(self.mask(frame))

    def write(self, frame: int, patch: MaskPatch) -> bool:
        """Write what a run found, unless the frame is the annotator's; say if pixels changed."""
        if not self.fits:
            return False
        if self._written.get(frame, EMPTY) == patch and frame not in self._kept:
            self._written[frame] = patch
            return False
        if self.is_edited(frame):
            self._kept.add(frame)
            return False
        pixels = self.layer.data[frame]
        before = self._written.get(frame, EMPTY)
        if before.box is not None:
            pixels[before.box.slices] = 0
        if patch.box is not None:
            pixels[patch.box.slices][patch.pixels()] = self.object_id
        self._written[frame] = patch
        return True

    def stack(self, check: Callable[[], None]) -> MaskStack:
        """All masks as they are now; `check` is asked at each frame."""
        self.check_shape()
        count, height, width = self.shape
        return MaskStack(self._masks(count, check), height, width)

    def _masks(self, count: int, check: Callable[[], None]) -> Iterator[Mask]:
        for frame in range(count):
            check()
            yield self.mask(frame)
