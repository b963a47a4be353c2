"""How much of the object is hidden: levels and amounts, as in TABE-51's ``annos.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from napari_amodal.masks import MaskStack

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
    visible: MaskStack, amodal: MaskStack, leaving: frozenset[int] = frozenset()
) -> tuple[FrameOcclusion, ...]:
    """Level and amount of each frame from its visible and amodal mask.

    Parameters
    ----------
    visible, amodal : MaskStack
        ``(T, H, W)``; amodal is taken as its union with visible.
    leaving : frozenset of int
        Frames in which the object is leaving the frame or gone from it; so is a frame where both
        masks are empty.
    """
    found = []
    for frame in range(len(visible)):
        seen = visible[frame]
        whole = amodal[frame] | seen
        area = int(whole.sum())
        if frame in leaving or area == 0:
            found.append(FrameOcclusion(OcclusionLevel.NONE, None))
        else:
            amount = 1.0 - int(seen.sum()) / area
            found.append(FrameOcclusion(level_of(amount), amount))
    return tuple(found)
