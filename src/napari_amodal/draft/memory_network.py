"""The tracker's network: pictures and masks in, masks and how far they are trusted out.

A space-time memory network in three parts (``weights/tracker_*.onnx``), run by onnxruntime. What a
crop looks like becomes features; features and a mask become a memory; features and memories become
a mask. How it was trained: ``training/README.md``; what it can do: ``weights/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.draft.shipped import WEIGHTS, open_network

Float = NDArray[np.float32]

PARTS = ("encoder", "memorizer", "reader")
#: The network was trained on pictures ``(colour - MEAN) / SPREAD``, colour 0..1; beyond the frame
#: lies MEAN, and sides are multiples of STEP.
MEAN, SPREAD, STEP = 0.447, 0.25, 16
#: Features are this many pixels apart where memory is matched.
STRIDE = 8


@dataclass(frozen=True)
class Memory:
    """What is remembered of a crop: keys, values, and where each lies.

    Attributes
    ----------
    key, value : ndarray
        float32 ``(1, N, C)``, a row a cell of ``STRIDE x STRIDE`` pixels.
    """

    key: Float
    value: Float


@dataclass(frozen=True)
class Reading:
    """What the network says of a crop.

    Attributes
    ----------
    chance : ndarray
        float32 ``(S / 2, S / 2)``, 0..1: the object's visible part.
    quality : float
        The IoU that the mask is expected to have, 0..1; of an empty mask, how likely it is right.
    sight : float
        How likely the object is in sight, 0..1.
    """

    chance: Float
    quality: float
    sight: float


class Network:
    """The three parts, ready to run; `network` gives the one that a process shares."""

    def __init__(self, sessions: Mapping[str, Any]) -> None:
        self._sessions = sessions

    def encode(self, picture: Float) -> dict[str, Float]:
        """Features of a picture ``(1, 3, S, S)``, by name."""
        names = ("at2", "at4", "at8", "key")
        return dict(zip(names, self._run("encoder", {"picture": picture}), strict=True))

    def memorize(self, features: Mapping[str, Float], mask: Float) -> Memory:
        """The memory of a crop whose mask ``(S, S)``, 0..1, is known."""
        given = {name: features[name] for name in ("at4", "at8")}
        (value,) = self._run("memorizer", {**given, "mask": mask[np.newaxis, np.newaxis]})
        return Memory(_rows(features["key"]), _rows(value))

    def read(
        self, features: Mapping[str, Float], kept: Sequence[Memory], last: Memory, places: Float
    ) -> Reading:
        """The mask of a crop.

        Parameters
        ----------
        features : mapping of str to ndarray
        kept : sequence of Memory
            Remembered frames, wherever the object was on them.
        last : Memory
            The frame before.
        places : ndarray
            float32 ``(1, N, 2)``: where `last`'s cells lie in this crop, ``(y, x)``; the crop
            spans -1..1.
        """
        mask, quality = self._run(
            "reader",
            {
                **features,
                "kept_key": np.concatenate([memory.key for memory in kept], axis=1),
                "kept_value": np.concatenate([memory.value for memory in kept], axis=1),
                "last_key": last.key,
                "last_value": last.value,
                "last_place": places,
            },
        )
        chance = 1 / (1 + np.exp(-mask[0, 0]))
        return Reading(chance.astype(np.float32), float(quality[0, 0]), float(quality[0, 1]))

    def _run(self, part: str, inputs: Mapping[str, Float]) -> list[Float]:
        found: list[Float] = self._sessions[part].run(None, dict(inputs))
        return found


def cell_places(side: int) -> Float:
    """The middles of the cells of a crop of `side` pixels, ``(1, N, 2)``, -1..1."""
    count = side // STRIDE
    middles = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(2 / count) - 1
    grid = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1)
    return grid.reshape(1, -1, 2)


def _rows(grid: Float) -> Float:
    """``(1, C, h, w)`` as ``(1, h * w, C)``."""
    return np.ascontiguousarray(grid.reshape(*grid.shape[:2], -1).transpose(0, 2, 1))


@cache
def network(folder: Path = WEIGHTS) -> Network:
    """The network; opened once a process. Raises what `open_network` raises."""
    return Network({part: open_network(folder / f"tracker_{part}.onnx") for part in PARTS})
