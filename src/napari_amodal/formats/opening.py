"""Opening a clip from whatever holds its frames."""

from __future__ import annotations

from pathlib import Path

from napari_amodal.clip import Clip


def open_clip(source: str | Path) -> Clip:
    """Open a clip, without reading its frames.

    `source` is a video file, a folder of images, a multi-page TIFF or a TABE-51 folder.
    """
    raise NotImplementedError
