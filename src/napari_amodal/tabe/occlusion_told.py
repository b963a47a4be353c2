"""Levels, amounts, boxes and hiders of one object, told frame by frame from its carried shape."""

from __future__ import annotations

import numpy as np

from napari_amodal.boxes import Box, box_of
from napari_amodal.draft.shape_memory import hidden_part
from napari_amodal.draft.shapes import slack_of
from napari_amodal.draft.trajectory import JoinedShape, Scene
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Occlusion
from napari_amodal.tabe.amodal_boxes import amodal_box
from napari_amodal.tabe.occlusion_contact import adjoining
from napari_amodal.tabe.occlusion_leaving import frames_gone

#: Hiders are told this far around the amodal box, as a share of its longer side.
_MARGIN = 0.15


class Told:
    """What is told of the frames so far; add them first to last.

    Parameters
    ----------
    scene : Scene
        Its hiders are what is nearer than the object.
    clear : frozenset of int
        Frames in which the object is fully visible by definition.
    """

    def __init__(self, scene: Scene, clear: frozenset[int]) -> None:
        self._scene = scene
        self._clear = clear
        self._amounts: list[float | None] = []
        self._boxes: list[Box | None] = []
        self._wholes: list[Box | None] = []
        self._hiders: list[MaskStack] = []

    def add(self, frame: int, shape: JoinedShape) -> None:
        """Tell the next frame from the shape there."""
        _, height, width = self._scene.visible.shape
        visible = self._scene.visible[frame]
        seen = self._scene.visible.boxes[frame]
        hidden, hiders = np.zeros((2, height, width), np.bool_)
        whole = shape.box
        if whole is not None and seen is not None:
            whole = whole.union(seen)
        region = whole.padded(_margin(whole)).clipped(height, width) if whole else None
        if frame in self._scene.whole:
            hidden = hiders = self._scene.whole[frame] & ~visible
        elif frame not in self._clear and region is not None:
            inside = region.slices
            nearer = self._scene.hiders[frame][inside]
            slack = slack_of(float(self._scene.confidence[frame]))
            parts = _hidden_and_hiders(shape.mask(region), visible[inside], nearer, slack)
            hidden[inside], hiders[inside] = parts
        unseen, area = int(hidden.sum()), int(visible.sum())
        self._amounts.append(unseen / (unseen + area) if unseen + area else None)
        beyond = None if frame in self._clear else whole
        self._boxes.append(amodal_box(seen, box_of(hidden), beyond, height, width))
        self._wholes.append(whole)
        self._hiders.append(MaskStack((hiders,), height, width))

    def occlusion(self) -> Occlusion:
        """All that was told."""
        count, height, width = self._scene.visible.shape
        seen = self._scene.visible.boxes
        gone = frames_gone(seen, self._wholes, self._amounts, self._clear, height, width)
        levels = tuple(self._level(frame, frame in gone) for frame in range(count))
        there = [
            seen[frame] is not None or levels[frame].level is not OcclusionLevel.NONE
            for frame in range(count)
        ]
        boxes = tuple(box if here else None for box, here in zip(self._boxes, there, strict=True))
        nothing = np.zeros((height, width), np.bool_)
        hiders = (
            stack[0] if here else nothing for stack, here in zip(self._hiders, there, strict=True)
        )
        return Occlusion(levels, boxes, MaskStack(hiders, height, width))

    def _level(self, frame: int, gone: bool) -> FrameOcclusion:
        amount = self._amounts[frame]
        if frame in self._clear:
            return FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0)
        if gone or amount is None:
            return FrameOcclusion(OcclusionLevel.NONE, None)
        return FrameOcclusion(level_of(amount), amount)


def _hidden_and_hiders(whole: Mask, visible: Mask, nearer: Mask, slack: float) -> tuple[Mask, Mask]:
    """The hidden part, and all that may hide the object, within a region around it.

    Where nothing of the object is visible it is hidden wherever it is, whatever the depth there.
    """
    missing = whole & ~visible
    if not visible.any():
        return missing, nearer | missing
    size = float(np.sqrt(np.count_nonzero(whole | visible)))
    # Depth is sure evidence: a hidden part counts however few pixels thick it is.
    hidden = hidden_part(missing & nearer, np.zeros_like(missing), size * slack, pixel=0.0)
    return adjoining(hidden, visible, size), nearer


def _margin(box: Box) -> int:
    return round(_MARGIN * max(box.height, box.width))
