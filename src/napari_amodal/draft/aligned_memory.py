"""The whole object without a network: what its windows showed of it at other times.

In windows that follow the object its shape hardly moves, so a cell is the object's own if it mostly
was in the frames near in time that tell. A frame tells where the object is seen, where plain
background is seen, and everywhere if it shows about as much of the object as any.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from napari_amodal.draft.completer_network import Answer, Float
from napari_amodal.draft.shape_memory import hidden_part
from napari_amodal.draft.window_views import WINDOW
from napari_amodal.masks import Mask

#: Frames after which what was seen counts a third.
_FADING = 6.0
#: How fast a frame's word on what is *not* the object counts less, the less of it is shown.
_WHOLE_POWER = 6
#: A place is plain background when seen beyond the object so surely, and in so many views.
_BEYOND, _MOST_VIEWS = 0.6, 0.5
#: What is missing is hidden if it is more than so many times what the object's own parts explain.
_SWINGS = 2.0
#: Logit of a certain cell.
_SURE = 5.0


class AlignedMemory:
    """Answers as the network does (`CompleterNetwork`), from the same channels."""

    def answer(self, channels: Mapping[str, Float]) -> list[Answer]:
        """The answers for a chunk's channels (`window_views.chunk_channels`), frame by frame."""
        visible = channels["fine"][:, 3]
        same, known = (_enlarged(channels["coarse"][:, index]) for index in (0, 7))
        plain = plain_background(channels)
        areas = visible.sum(axis=(1, 2))
        shown = np.minimum(1, areas / max(float(np.percentile(areas, 90)), 1.0)) ** _WHOLE_POWER
        shown = np.maximum(shown, known[:, 0, 0])
        tells = np.maximum(visible, np.maximum(plain, shown[:, None, None]))
        shares = []
        for now in channels["times"]:
            near = np.exp(-np.abs(channels["times"] - now) / _FADING)[:, None, None]
            weight = (near * tells).sum(axis=0)
            share = (near * visible).sum(axis=0) / np.maximum(weight, 1e-6)
            shares.append(np.where(weight < 1e-3, 0, share))
        swing = [_swing(share, seen) for share, seen in zip(shares, visible, strict=True)]
        usual = float(np.median(swing))
        return [
            _answer(shares[frame], visible[frame], plain[frame], same[frame], max(usual, own))
            for frame, own in enumerate(swing)
        ]


def plain_background(channels: Mapping[str, Float]) -> Mask:
    """Cells of a chunk's channels that plainly show background, bool ``(T, 128, 128)``."""
    same, beyond = (_enlarged(channels["coarse"][:, index]) for index in (0, 2))
    return np.asarray((beyond > _BEYOND) & (same > _MOST_VIEWS))


def _answer(share: Float, visible: Float, plain: Mask, same: Float, swing: float) -> Answer:
    hidden = _hidden(share, visible, plain, same)
    whole = np.where(hidden, share, np.minimum(share, visible))
    # hardly ever the same colour there: something moves in front of the background
    front = np.where(~plain & (same < _MOST_VIEWS) & (visible < 0.5), _SURE, -_SURE)
    area = float(np.count_nonzero(hidden))
    amount = area / max(area + float(visible.sum()), 1.0)
    return Answer(
        (np.float32(_SURE) * (2 * whole - 1))[np.newaxis].astype(np.float32),
        front.astype(np.float32),
        float(area > _SWINGS * swing),
        1 - 0.5 * amount,
    )


def _swing(share: Float, visible: Float) -> float:
    """Cells in which the object is seen though it mostly is not there: its parts move. Nothing that
    hides it has a part in this, and moving parts leave about as many cells as they enter."""
    return float(np.count_nonzero((visible > 0.5) & (share < 0.5)))


def _enlarged(maps: Float) -> Float:
    size = (WINDOW, WINDOW)
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps])


def _hidden(share: Float, visible: Float, plain: Mask, same: Float) -> Mask:
    """Cells that are the object's, and hidden: the more so where the background is not seen."""
    missing = (share > 0.5) & (visible < 0.5) & ~plain
    still = same > _MOST_VIEWS
    size = float(np.sqrt(np.count_nonzero((share > 0.5) | (visible > 0.5))))
    return hidden_part(missing & ~still, missing & still, size)
