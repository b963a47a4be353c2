"""Cutting an object out of superpixels: what its colours tell, along the picture's edges.

In turns the colours inside and outside are learned from the mask so far, and the mask is the exact
minimum cut given those colours (as GrabCut does: Rother et al., SIGGRAPH 2004; here with kernel
densities over superpixels, so that a turn takes milliseconds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from napari_amodal.annotation.superpixels import STEP, Integers, Superpixels

Numbers = NDArray[np.float64]
Chosen = NDArray[np.bool_]

#: Lab distance at which two superpixels stop to tell of each other.
_WIDTH = 7.0
#: Side of the cells that looks are sorted into, in the same.
_KIND = 6.0
#: Most that colours say of a superpixel, in log-odds; how much a border costs, in the same.
_MOST_TOLD, _BORDER = 3.0, 3.0
#: Share of a border's cost that an edge of the picture does not take away.
_LEAST_BORDER = 0.05
_TURNS = 3
#: Log-odds of what was clicked.
_SURE = 50.0
#: Parts that no click is on are kept from this share of the largest part on; holes are filled up
#: to this share of the object.
_LEAST_PART, _LARGEST_HOLE = 0.1, 0.03


@dataclass(frozen=True)
class RegionCut:
    """Superpixels, and how much each looks like the kinds of looks that there are.

    Attributes
    ----------
    pieces : Superpixels
    kinds : ndarray
        ``(N,)``: the kind of each.
    likeness : ndarray
        float32 ``(N, kinds)``, 0..1.
    """

    pieces: Superpixels
    kinds: Integers
    likeness: NDArray[np.float32]

    @classmethod
    def of(cls, pieces: Superpixels) -> RegionCut:
        looks = pieces.looks
        _, kinds = np.unique(np.floor(looks / _KIND), axis=0, return_inverse=True)
        kinds = np.asarray(kinds, np.intp).ravel()
        counts = np.bincount(kinds)
        means = np.stack([np.bincount(kinds, look) / counts for look in looks.T], axis=1)
        apart = np.sum((looks[:, None] - means[None].astype(np.float32)) ** 2, axis=2)
        return cls(pieces, kinds, np.exp(apart * np.float32(-1 / (2 * _WIDTH**2))))

    def solve(self, guess: Numbers, prior: Numbers, inside: Integers, outside: Integers) -> Chosen:
        """The superpixels of the object.

        Parameters
        ----------
        guess : ndarray
            ``(N,)``, 0..1: how likely each is the object's, to begin with.
        prior : ndarray
            ``(N,)``: what is known of each besides its looks, in log-odds.
        inside, outside : ndarray
            Those that certainly are the object's, or are not.
        """
        sure = np.zeros(len(self.pieces))
        sure[outside], sure[inside] = -_SURE, _SURE
        chance, found = guess.copy(), np.zeros(0, np.bool_)
        for _ in range(_TURNS):
            chance[outside], chance[inside] = 0, 1
            odds = self._told(chance) + prior + sure
            before, found = found, self._cut(odds)
            if np.array_equal(before, found):
                break
            chance = 0.7 * found + 0.3 * logistic(odds)
        return self._tidied(found, inside, outside)

    def _told(self, chance: Numbers) -> Numbers:
        """What the looks of the others tell of each, in log-odds."""
        own, rest = (share * self.pieces.areas for share in (chance, 1 - chance))
        told = np.log((self._density(own) + 1e-3) / (self._density(rest) + 1e-3))
        return np.clip(told, -_MOST_TOLD, _MOST_TOLD).astype(np.float64)

    def _density(self, areas: Numbers) -> Numbers:
        """How much of an area looks like each superpixel, itself left out, ``(N,)``."""
        itself = self.likeness[np.arange(len(areas)), self.kinds] * areas
        alike = self.likeness @ np.bincount(self.kinds, areas, self.likeness.shape[1])
        return np.asarray(np.maximum(alike - itself, 0) / max(areas.sum(), 1e-9), np.float64)

    def _cut(self, odds: Numbers) -> Chosen:
        """The cheapest choice: against the odds of superpixels, and along borders without edge."""
        pieces, count = self.pieces, len(self.pieces)
        usual = 1.5 * float(np.median(pieces.slopes)) + 2
        bond = np.exp(-0.5 * (pieces.slopes / usual) ** 2) + _LEAST_BORDER
        border = _BORDER * pieces.lengths / STEP * bond
        weighed = odds * pieces.areas / STEP**2
        source, sink, every = count, count + 1, np.arange(count)
        rows = np.concatenate([pieces.first, pieces.second, np.full(count, source), every])
        columns = np.concatenate([pieces.second, pieces.first, every, np.full(count, sink)])
        costs = np.concatenate([border, border, np.maximum(weighed, 0), np.maximum(-weighed, 0)])
        whole = np.minimum(1000 * costs, 2**24).astype(np.int32)
        shape = (count + 2, count + 2)
        graph = csr_matrix((whole, (rows, columns)), shape=shape)  # type: ignore[no-untyped-call]
        left = graph - maximum_flow(graph, source, sink).flow
        left.data[left.data < 0] = 0
        left.eliminate_zeros()
        found = np.zeros(count + 2, np.bool_)
        found[breadth_first_order(left, source, return_predecessors=False)] = True
        return found[:count]

    def _tidied(self, found: Chosen, inside: Integers, outside: Integers) -> Chosen:
        """The parts that were clicked; without clicks all but small ones; no small holes."""
        pieces = self.pieces
        parts = pieces.parts(found)
        if len(inside):
            found = found & np.isin(parts, parts[inside])
        elif found.any():
            areas = np.bincount(parts, pieces.areas * found)
            found = found & (areas >= _LEAST_PART * areas.max())[parts]
        around = pieces.parts(~found)
        rim = np.union1d(pieces.rim, outside)
        beyond = np.isin(around, around[rim[~found[rim]]])
        areas = np.bincount(around, pieces.areas)[around]
        small = areas <= _LARGEST_HOLE * pieces.areas[found].sum()
        return np.asarray(found | (~found & ~beyond & small), np.bool_)


def logistic(odds: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float64)
