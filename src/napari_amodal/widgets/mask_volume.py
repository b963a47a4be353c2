"""Memory for the masks of a whole clip that costs only what is painted."""

from __future__ import annotations

import tempfile

import numpy as np
from numpy.typing import NDArray


def mask_volume(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Zeros, uint8 ``(T, H, W)``, for editing as a Labels layer.

    The system gives memory to the pages that are written to, no earlier. Where it refuses to
    promise as much as the whole, the zeros lie in a temporary file with holes, which is gone with
    the array.
    """
    try:
        return np.zeros(shape, np.uint8)
    except MemoryError:
        with tempfile.TemporaryFile(prefix="napari-amodal-") as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
