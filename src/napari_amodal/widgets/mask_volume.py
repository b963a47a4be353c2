"""Memory for the masks of a whole clip that costs only what is painted."""

from __future__ import annotations

import math
import shutil
import tempfile

import numpy as np
from numpy.typing import NDArray

#: Volumes from this size on lie in a file, where there is room for the whole of it.
IN_FILE_FROM = 4 << 30


def mask_volume(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Zeros, uint8 ``(T, H, W)``, for editing as a Labels layer.

    The system gives memory to the pages that are written to, no earlier. A long clip (10,000 frames
    of 1080p are 21 GB) lies in a temporary file with holes, whose written pages the system may move
    out of memory; the file is gone with the array.
    """
    size = math.prod(shape)
    if size >= IN_FILE_FROM and shutil.disk_usage(tempfile.gettempdir()).free > size:
        with tempfile.TemporaryFile(prefix="napari-amodal-") as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
    return np.zeros(shape, np.uint8)
