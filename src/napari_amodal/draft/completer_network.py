"""The completer's network: a chunk of windows in, amodal masks and what lies in front out.

A U-Net with attention over time (``weights/completer.onnx``), run by onnxruntime. How it was
trained: ``training/README.md``; what it can do: ``weights/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal.draft.shipped import WEIGHTS, open_network

Float = NDArray[np.float32]

COMPLETER = WEIGHTS / "completer.onnx"


@dataclass(frozen=True)
class Answer:
    """What the network says of one frame's window.

    Attributes
    ----------
    amodal : ndarray
        float32 ``(K, 128, 128)``, logits of K hypotheses of the whole object.
    front : ndarray
        float32 ``(128, 128)``, logits of what is in front of the object, or would be.
    occluded : float
        How likely some of the object is hidden, 0..1.
    quality : float
        The IoU that the first hypothesis is expected to have.
    """

    amodal: Float
    front: Float
    occluded: float
    quality: float


class CompleterNetwork:
    """The network, ready to run; `completer_network` gives the one that a process shares."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def answer(self, channels: Mapping[str, Float]) -> list[Answer]:
        """The answers for a chunk's channels (`window_views.chunk_channels`), frame by frame."""
        maps, told = self._session.run(["maps", "told"], dict(channels))
        return [
            Answer(frame[:-1], frame[-1], float(occluded), float(quality))
            for frame, (occluded, quality) in zip(maps, told, strict=True)
        ]


@cache
def completer_network(path: Path = COMPLETER) -> CompleterNetwork:
    """The network of a file; opened once a process. Raises what `open_network` raises."""
    return CompleterNetwork(open_network(path))
