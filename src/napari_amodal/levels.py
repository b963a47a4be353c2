"""How much of the object is hidden: levels and amounts, as in TABE-51's ``annos.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from napari_amodal.masks import Mask, MaskStack

#: Hidden shares up to this are no occlusion, from `SEVERE_FROM` on severe (TABE-51, compositing).
NO_UP_TO = 0.005
SEVERE_FROM = 0.5


class OcclusionLevel(IntEnum):
    """Occlusion level of a frame, numbered as published (TABE, section 3 of the reference)."""

    SEVERE_OCCLUSION = 0
    SLIGHT_OCCLUSION = 1
    NO_OCCLUSION = 2
    NONE = 3  # out of the frame, or leaving it

    @property
    def label(self) -> str:
        """The level in words, for people."""
        return {0: "severe", 1: "slight", 2: "none", 3: "out of frame"}[int(self)]


@dataclass(frozen=True, slots=True)
class FrameOcclusion:
    """Level of one frame and the hidden share of its amodal mask (None for `NONE`)."""

    level: OcclusionLevel
    amount: float | None

    def __post_init__(self) -> None:
        if self.amount is not None and not (math.isfinite(self.amount) and self.amount >= 0):
            raise ValueError(f"an occlusion amount is a share of the mask, not {self.amount}")


def level_of(amount: float) -> OcclusionLevel:
    """The level that a hidden share stands for in TABE-51."""
    if amount <= NO_UP_TO:
        return OcclusionLevel.NO_OCCLUSION
    return (
        OcclusionLevel.SLIGHT_OCCLUSION if amount < SEVERE_FROM else OcclusionLevel.SEVERE_OCCLUSION
    )


def occlusion_of(
    visible: MaskStack,
    amodal: MaskStack,
    leaving: frozenset[int] = frozenset(),
    by_hand: Mapping[int, OcclusionLevel] = MappingProxyType({}),
) -> tuple[FrameOcclusion, ...]:
    """Level and amount of each frame from its visible and amodal mask.

    Parameters
    ----------
    visible, amodal : MaskStack
        ``(T, H, W)``; amodal is taken as its union with visible.
    leaving : frozenset of int
        Frames in which the object is leaving the frame or gone from it; so is a frame where both
        masks are empty.
    by_hand : mapping of int to OcclusionLevel
        Frames whose level is given; the amount still follows from the masks.
    """
    return tuple(
        frame_occlusion(visible[frame], amodal[frame], frame in leaving, by_hand.get(frame))
        for frame in range(len(visible))
    )


def frame_occlusion(
    visible: Mask, amodal: Mask, leaving: bool = False, by_hand: OcclusionLevel | None = None
) -> FrameOcclusion:
    """Level and amount of one frame, masks bool ``(H, W)``; see `occlusion_of`."""
    seen, area = int(np.count_nonzero(visible)), int(np.count_nonzero(amodal | visible))
    gone = leaving or area == 0
    level = (OcclusionLevel.NONE if gone else None) if by_hand is None else by_hand
    if level is OcclusionLevel.NONE:
        return FrameOcclusion(level, None)
    amount = 1.0 - seen / area if area else None
    return FrameOcclusion(level_of(amount or 0.0) if level is None else level, amount)
