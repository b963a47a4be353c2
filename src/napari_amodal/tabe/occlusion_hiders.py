"""What may hide each object, frame by frame, from a stream of depth maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch
from napari_amodal.tabe.depth_source import DepthMap
from napari_amodal.tabe.occlusion_nearer import (
    DepthView,
    depth_view,
    inner_part,
    nearer_than,
    nearer_than_object,
    working_mask,
)

Regions = Sequence[Box | None]

#: Less than this share of what was visible before is a sliver: where the mask is off by a pixel,
#: its depth is that of what hides the object. What was visible is forgotten by this factor a frame.
_SLIVER = 0.05
_FORGET = 0.97
#: Longest side of the maps by which the depth scales of two frames are compared.
_SMALL_SIDE = 64


def find_hiders(
    maps: Iterator[DepthMap],
    visible: Mapping[int, MaskStack],
    regions: Mapping[int, Regions],
    watch: Watch,
    steps: tuple[int, int],
) -> dict[int, MaskStack]:
    """What is nearer than each object, within the regions where it may lie.

    Where nothing of the object is visible, or but a sliver, its depth is the one last seen, taken
    along as the depth of the whole frame changes scale and shift. Before it is first seen, all of
    its region may hide it.

    Parameters
    ----------
    maps : iterator of ndarray
        One a frame, uint8 ``(H, W)``.
    visible : mapping of int to MaskStack
        Visible masks ``(T, H, W)`` by object id.
    regions : mapping of int to sequence of (Box or None)
        By object id and frame; None: the object is nowhere.
    watch : Watch
    steps : tuple of int
        Steps of the stage that are done before, and all of them; each frame here is one more.
    """
    followed = {key: _Followed(stack, regions[key]) for key, stack in visible.items()}
    before: NDArray[np.float32] | None = None
    for frame, depth in enumerate(maps):
        view = depth_view(depth)
        small = _small(view)
        change = (1.0, 0.0) if before is None else scale_and_shift(before, small)
        for one in followed.values():
            one.add(frame, view, change)
        before = small
        watch.step(steps[0] + frame + 1, steps[1])
    return {key: one.hiders() for key, one in followed.items()}


def _small(view: DepthView) -> NDArray[np.float32]:
    height, width = view.depth.shape
    shrink = max(1.0, max(height, width) / _SMALL_SIDE)
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    return np.asarray(cv2.resize(view.depth, size, interpolation=cv2.INTER_AREA), np.float32)


def scale_and_shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[float, float]:
    """Scale and shift that take the depths of one frame to those of the next.

    Least squares over all pixels, then over those that agree best, half of them: what moves or
    comes into view does not.
    """
    x, y = before.ravel().astype(np.float64), after.ravel().astype(np.float64)
    chosen = np.ones(x.shape, np.bool_)
    scale, shift = 1.0, 0.0
    for _ in range(4):
        spread = x[chosen].var()
        if spread < 1.0:
            return 1.0, float(np.median(y - x))
        scale = float(np.cov(x[chosen], y[chosen], bias=True)[0, 1] / spread)
        shift = float(y[chosen].mean() - scale * x[chosen].mean())
        error = np.abs(y - scale * x - shift)
        chosen = error <= np.median(error)
    return scale, shift


@dataclass
class _Followed:
    """One object: its depth when it was last well seen, how much was, and its hiders so far."""

    visible: MaskStack
    regions: Regions
    depth: float | None = None
    area: float = 0.0
    found: list[MaskStack] = field(default_factory=list)

    def add(self, frame: int, view: DepthView, change: tuple[float, float]) -> None:
        _, height, width = self.visible.shape
        hiders = np.zeros((height, width), np.bool_)
        seen = self.visible[frame]
        if self.depth is not None:
            self.depth = change[0] * self.depth + change[1]
        small = working_mask(seen, view)
        well_seen = self._look(view, small)
        region = self.regions[frame]
        inside = region.clipped(height, width) if region is not None else None
        if inside is not None:
            hiders[inside.slices] = self._within(view, small if well_seen else None, inside)
            hiders &= ~seen
        self.found.append(MaskStack((hiders,), height, width))

    def _look(self, view: DepthView, small: Mask) -> bool:
        """Take the object's depth from what is visible, if that is more than a sliver."""
        inner = inner_part(small)
        count = int(np.count_nonzero(inner))
        self.area = max(count, _FORGET * self.area)
        if count > _SLIVER * self.area:
            self.depth = float(np.median(view.depth[inner]))
            return True
        return self.depth is None and bool(small.any())

    def _within(self, view: DepthView, seen: Mask | None, region: Box) -> Mask:
        """Hiders in a region, at full resolution; by the carried depth where `seen` is None."""
        scale = view.scale
        around = Box(
            int(region.y0 * scale),
            int(region.x0 * scale),
            max(int(region.y0 * scale) + 1, int(np.ceil(region.y1 * scale))),
            max(int(region.x0 * scale) + 1, int(np.ceil(region.x1 * scale))),
        ).clipped(*view.depth.shape)
        assert around is not None
        if seen is not None and seen[around.slices].any():
            nearer = nearer_than_object(view, seen, around)
        elif self.depth is not None:
            nearer = nearer_than(view, self.depth, around)
        else:
            nearer = np.ones((around.height, around.width), np.bool_)
        rows = ((np.arange(region.y0, region.y1) + 0.5) * scale).astype(int) - around.y0
        columns = ((np.arange(region.x0, region.x1) + 0.5) * scale).astype(int) - around.x0
        full = np.ix_(rows.clip(0, around.height - 1), columns.clip(0, around.width - 1))
        return np.asarray(nearer[full], np.bool_)

    def hiders(self) -> MaskStack:
        _, height, width = self.visible.shape
        return MaskStack((stack[0] for stack in self.found), height, width)
