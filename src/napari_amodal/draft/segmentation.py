"""From log-odds to a mask that keeps to the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

#: Neighbours that a pixel listens to, as (dy, dx); each stands for its mirror image too.
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 3), (3, 0), (2, 2), (2, -2), (4, 4), (4, -4))
#: Lab distance at which two pixels stop to influence each other.
EDGE = 6.0


def smooth_log_odds(log_odds: Float, lab: Float, pull: float = 4.0, rounds: int = 4) -> Float:
    """The chance of each pixel after it has listened to neighbours of like colour.

    Mean field of a pairwise model with contrast-sensitive Potts terms (Kraehenbuehl and Koltun,
    Efficient Inference in Fully Connected CRFs, NeurIPS 2011) on a sparse neighbourhood.

    Parameters
    ----------
    log_odds, lab : ndarray
        float32 ``(h, w)`` and ``(h, w, 3)``.
    pull : float
        How much all the neighbours together weigh, in log-odds.

    Returns
    -------
    ndarray
        float32 ``(h, w)``, 0..1.
    """
    height, width = log_odds.shape
    links = []
    for dy, dx in NEIGHBOURS:
        if height <= dy or width <= abs(dx):
            continue
        here, there = _pair(dy, dx)
        contrast = np.sum((lab[here] - lab[there]) ** 2, axis=2)
        links.append((here, there, np.exp(-contrast / (2 * EDGE**2)) / np.sqrt(np.hypot(dy, dx))))
    strength = pull / (2 * sum(1 / np.sqrt(np.hypot(*n)) for n in NEIGHBOURS))
    chance = _sigmoid(log_odds)
    for _ in range(rounds):
        heard = np.zeros_like(log_odds)
        opinion = 2 * chance - 1
        for here, there, weight in links:
            heard[here] += weight * opinion[there]
            heard[there] += weight * opinion[here]
        chance = _sigmoid(log_odds + strength * heard)
    return chance


def _pair(dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Index of all pixels that have a neighbour at (dy, dx), and of those neighbours."""
    rows, rows_of = slice(0, -dy or None), slice(dy, None)
    if dx >= 0:
        return (rows, slice(0, -dx or None)), (rows_of, slice(dx, None))
    return (rows, slice(-dx, None)), (rows_of, slice(0, dx))


def _sigmoid(log_odds: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -20, 20))), np.float32)


def without_specks(chance: Float, smallest: float) -> Float:
    """`chance` with islands of fewer than `smallest` pixels removed and such holes filled."""
    chance = chance.copy()
    for inside, value in ((chance > 0.5, 0.0), (chance <= 0.5, 1.0)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            inside.astype(np.uint8), connectivity=4
        )
        small = np.flatnonzero(stats[:count, cv2.CC_STAT_AREA] < smallest)
        small = small[small != 0]
        if small.size:
            chance[np.isin(labels, small)] = value
    return chance
