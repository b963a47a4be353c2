"""The completer's network: a chunk of windows in, amodal masks and what lies in front out.

A U-Net with attention over time (``weights/completer.onnx``), run by onnxruntime. How it was
trained: ``training/README.md``; what it can do: ``weights/README.md``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights" / "completer.onnx"


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
def completer_network(path: Path = WEIGHTS) -> CompleterNetwork:
    """The network of a file; opened once a process.

    Raises
    ------
    RuntimeError
        The file is not the one that was shipped.
    """
    import onnxruntime  # not needed, nor loaded, until something is completed

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != stored_hash(path):
        raise RuntimeError(f"{path} is not the file that was shipped: install the package again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    )
    wanted = {"CUDAExecutionProvider", "CPUExecutionProvider"}
    providers = [name for name in onnxruntime.get_available_providers() if name in wanted]
    session = onnxruntime.InferenceSession(content, options, providers=providers)
    return CompleterNetwork(session)


def stored_hash(path: Path = WEIGHTS) -> str:
    """The sha256 that the file was shipped with."""
    return path.with_suffix(".onnx.sha256").read_text().split()[0]
