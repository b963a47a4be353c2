"""Which frames the strokes in a Labels layer's own undo history touch.

napari says that a layer was painted in, and keeps the pixels for its undo; on which frames that was
is in what it keeps. This module alone reads that, and does without where another napari keeps it
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Labels


def frames_of(stroke: Iterable[Any], count: int) -> frozenset[int]:
    """The frames of a stroke in a layer of `count` frames."""
    found: set[int] = set()
    for part in stroke:
        key = getattr(part, "slice_key", None)
        first = part[0][0] if key is None else key[0]
        if isinstance(first, slice):
            found.update(range(*first.indices(count)))
        else:
            found.update(int(frame) for frame in np.unique(first))
    return frozenset(found)


def stroke_counts(layer: Labels) -> tuple[int, int]:
    """How many strokes napari could undo and redo: other numbers say that it did."""
    return len(getattr(layer, "_undo_history", ())), len(getattr(layer, "_redo_history", ()))


def last_strokes(layer: Labels) -> frozenset[int]:
    """The frames of the stroke that napari would undo next, and of the one it would redo."""
    count = layer.data.shape[0]
    kept = (getattr(layer, name, None) for name in ("_undo_history", "_redo_history"))
    return frozenset().union(*(frames_of(strokes[-1], count) for strokes in kept if strokes))


def forget_strokes(layer: Labels, frame: int) -> None:
    """Take strokes on a frame out of napari's undo: what they would bring back is not there."""
    count = layer.data.shape[0]
    for name in ("_undo_history", "_redo_history"):
        strokes = getattr(layer, name, None)
        if not strokes:
            continue
        kept = [stroke for stroke in strokes if frame not in frames_of(stroke, count)]
        if len(kept) != len(strokes):
            strokes.clear()
            strokes.extend(kept)
