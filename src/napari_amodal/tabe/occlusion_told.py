"""Levels, amounts, boxes and hiders of one object, told frame by frame from its carried shape."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from napari_amodal.boxes import Box, box_of
from napari_amodal.draft.leaving import touches_border
from napari_amodal.draft.shapes import hidden_part
from napari_amodal.draft.trajectory import JoinedShape, Scene
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Occlusion
from napari_amodal.tabe.amodal_boxes import amodal_box

#: Hiders are told this far around the amodal box, as a share of its longer side.
_MARGIN = 0.15
#: An object is leaving the frame if at some time this share of it lies beyond the border.
_LEAVING_SHARE = 0.05
#: An object that is less than this visible when it is first seen was hidden before, not absent.
_EMERGING_SHARE = 0.7


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
        self._beyond: list[float] = []
        self._hiders: list[MaskStack] = []

    def add(self, frame: int, shape: JoinedShape) -> None:
        _, height, width = self._scene.visible.shape
        visible = self._scene.visible[frame]
        seen, whole = self._scene.visible.boxes[frame], shape.box
        if whole is not None and seen is not None:
            whole = whole.union(seen)
        region = whole.padded(_margin(whole)).clipped(height, width) if whole else None
        hidden, hiders = np.zeros((2, height, width), np.bool_)
        if frame in self._scene.whole:
            hidden = hiders = self._scene.whole[frame] & ~visible
        elif region is not None and frame not in self._clear:
            hidden[region.slices], hiders[region.slices] = self._within(
                frame, shape.mask(region), region
            )
        inside = int(hidden.sum()) + int(visible.sum())
        self._amounts.append(int(hidden.sum()) / inside if inside else None)
        self._boxes.append(
            seen if frame in self._clear
            else amodal_box(seen, box_of(hidden), whole, height, width) or whole
        )
        self._beyond.append(_share_beyond(whole, height, width))
        self._hiders.append(MaskStack((hiders,), height, width))

    def _within(self, frame: int, whole: Mask, region: Box) -> tuple[Mask, Mask]:
        """The hidden part, and all that may hide the object, within a region."""
        visible = self._scene.visible[frame][region.slices]
        nearer = self._scene.hiders[frame][region.slices]
        missing = whole & ~visible
        if not visible.any():
            # nothing else can be the reason, whatever the depth there
            return missing, nearer | missing
        size = float(np.sqrt(np.count_nonzero(whole | visible)))
        nothing = np.zeros_like(missing)
        return hidden_part(missing & nearer, nothing, size), nearer

    def occlusion(self) -> Occlusion:
        _, height, width = self._scene.visible.shape
        gone = self._gone()
        frames, boxes = [], []
        for frame, (amount, box) in enumerate(zip(self._amounts, self._boxes, strict=True)):
            if frame in self._clear:
                frames.append(FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0))
            elif frame in gone or amount is None:
                frames.append(FrameOcclusion(OcclusionLevel.NONE, None))
            else:
                frames.append(FrameOcclusion(level_of(amount), amount))
            unseen = self._scene.visible.boxes[frame] is None
            boxes.append(None if unseen and frames[-1].amount is None else box)
        hiders = MaskStack((stack[0] for stack in self._hiders), height, width)
        return Occlusion(tuple(frames), tuple(boxes), hiders)

    def _gone(self) -> frozenset[int]:
        """Frames in which the object is leaving the frame, coming into it, or not in it.

        As TABE has it (reference page, section 3): at the border now and in the frame before or
        after, and unseen after that. But an object that stays at the border without ever being cut
        by it is not leaving; and one that first appears from behind something was there before.
        """
        _, height, width = self._scene.visible.shape
        seen = self._scene.visible.boxes
        count = len(seen)
        states = [
            "unseen" if box is None else "border" if touches_border(box, height, width) else "in"
            for box in seen
        ]
        gone: set[int] = set()
        before = "start"
        for state, group in groupby(range(count), key=lambda frame: states[frame]):
            run = list(group)
            if state == "border":
                state = "leaving" if self._is_leaving(run) else "in"
            if state == "unseen":
                state = self._why_unseen(run, before)
            if state == "leaving":
                gone.update(run)
            before = state
        return frozenset(gone)

    def _is_leaving(self, run: list[int]) -> bool:
        unseen_beside = any(
            0 <= frame < len(self._beyond) and self._scene.visible.boxes[frame] is None
            for frame in (run[0] - 1, run[-1] + 1)
        )
        if len(run) == 1 and not unseen_beside and 0 < run[0] < len(self._beyond) - 1:
            return False
        return max(self._beyond[frame] for frame in run) >= _LEAVING_SHARE

    def _why_unseen(self, run: list[int], before: str) -> str:
        if before != "start":
            return before
        after = run[-1] + 1
        amount = self._amounts[after] if after < len(self._amounts) else None
        emerging = amount is not None and 1 - amount < _EMERGING_SHARE
        return "in" if emerging else "leaving"


def _margin(box: Box) -> int:
    return round(_MARGIN * max(box.height, box.width))


def _share_beyond(whole: Box | None, height: int, width: int) -> float:
    """The share of a box that lies beyond the frame."""
    if whole is None:
        return 0.0
    inside = whole.clipped(height, width)
    return 1.0 - (inside.area if inside else 0) / whole.area
