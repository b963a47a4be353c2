"""The simple ways that the draft engine is measured against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack


def interpolate_boxes(visible: MaskStack, levels: Sequence[OcclusionLevel]) -> MaskStack:
    """Amodal masks by moving the nearest unoccluded shape to a linearly interpolated box.

    This is the ``box_interp`` of the reference values: frames of level `NO_OCCLUSION` keep their
    visible mask; in the others the shape of the nearest such frame (the later one where both are
    as near) is stretched to the box between those on both sides, or of the one side there is, and
    united with the visible mask.
    """
    whole = [t for t, level in enumerate(levels) if level is OcclusionLevel.NO_OCCLUSION]

    def completed() -> Iterator[Mask]:
        for frame, level in enumerate(levels):
            if level is OcclusionLevel.NO_OCCLUSION or not whole:
                yield visible[frame]
                continue
            before = max((t for t in whole if t < frame), default=None)
            after = min((t for t in whole if t > frame), default=None)
            yield _between(visible, frame, before, after) | visible[frame]

    return MaskStack(completed(), visible.height, visible.width)


def _between(visible: MaskStack, frame: int, before: int | None, after: int | None) -> Mask:
    if before is None or after is None:
        nearest = after if before is None else before
        return visible[nearest]
    weight = (frame - before) / (after - before)
    first, last = _corners(visible.boxes[before]), _corners(visible.boxes[after])
    nearest = before if weight < 0.5 else after
    return _stretched(
        visible[nearest], _corners(visible.boxes[nearest]), (1 - weight) * first + weight * last
    )


def _corners(box: Box | None) -> np.ndarray:
    assert box is not None
    return np.array([box.y0, box.x0, box.y1, box.x1], float)


def _stretched(mask: Mask, source: np.ndarray, target: np.ndarray) -> Mask:
    scale_y, scale_x = (target[2:] - target[:2]) / (source[2:] - source[:2])
    matrix = np.array(
        [
            [scale_x, 0, target[1] - scale_x * source[1]],
            [0, scale_y, target[0] - scale_y * source[0]],
        ]
    )
    height, width = mask.shape
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height)) > 0


def warp_by_flow(clip: Clip, query: Mask, query_frame: int = 0) -> MaskStack:
    """Visible masks by carrying the query along dense optical flow, frame to frame, both ways."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    rows, columns = np.mgrid[: clip.height, : clip.width].astype(np.float32)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
    masks = [query] * len(clip)
    for frame, came_from in _outwards(query_frame, len(clip)):
        moved = flow.calc(grey[frame], grey[came_from], None)
        carried = cv2.remap(
            masks[came_from].astype(np.float32),
            columns + moved[..., 0],
            rows + moved[..., 1],
            cv2.INTER_LINEAR,
        )
        masks[frame] = carried > 0.5
    return MaskStack(masks, clip.height, clip.width)


def _outwards(start: int, count: int) -> Iterator[tuple[int, int]]:
    """Frames away from `start`, each with its neighbour on the way."""
    yield from ((frame, frame - 1) for frame in range(start + 1, count))
    yield from ((frame, frame + 1) for frame in range(start - 1, -1, -1))
