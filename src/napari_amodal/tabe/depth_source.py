"""Where the depth maps of a clip come from: a network, or the clip's own ``depth/`` folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.formats.images import image_files, shown, unreadable
from napari_amodal.progress import Watch

#: Relative inverse depth, uint8 ``(H, W)``: larger is nearer, with a scale and shift of its own.
DepthMap = NDArray[np.uint8]

DEPTH = "depth"


class DepthSource(Protocol):
    """Gives one depth map a frame."""

    def maps(self, clip: Clip, watch: Watch) -> Iterator[DepthMap]:
        """The depth maps of a clip, first to last, of the frames' size; few are held at a time.

        It asks `watch` whether to stop (`Watch.check`) and leaves reporting steps to who reads.
        """
        ...


class DepthFolder:
    """Depth maps as 8-bit grey images, one a frame in the order of their names.

    Parameters
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, clip: Clip) -> DepthFolder | None:
        """The folder ``depth/`` of a clip in the TABE-51 layout, if it has one."""
        if clip.source is None:
            return None
        folder = clip.source / DEPTH
        return cls(folder) if folder.is_dir() else None

    def maps(self, clip: Clip, watch: Watch) -> Iterator[DepthMap]:
        """See `DepthSource.maps`.

        Raises
        ------
        InputError
            There are more or fewer maps than frames, or one is broken, not 8-bit grey, or of
            another size than the frames (named).
        """
        files = image_files(self._folder)
        if clip.part is not None and max(clip.part) < len(files):
            files = tuple(files[frame] for frame in clip.part)
        if len(files) != len(clip):
            raise InputError(
                f"{shown(self._folder)} holds {len(files)} depth maps, the clip {len(clip)} "
                "frames: remove the folder, or add the maps that are missing"
            )
        for path in files:
            watch.check()
            yield _read_map(path, clip.height, clip.width)


def _read_map(path: Path, height: int, width: int) -> DepthMap:
    try:
        with Image.open(path) as image:
            mode, depth = image.mode, np.array(image)
    except Exception as error:  # broken files make Pillow raise almost anything
        raise unreadable(path, error) from error
    if mode != "L":
        raise InputError(f"{shown(path)} is no 8-bit grey image (Pillow's mode is {mode})")
    if depth.shape != (height, width):
        raise InputError(
            f"{shown(path)} is {depth.shape[1]}x{depth.shape[0]}, the frames are {width}x{height}"
        )
    return depth
