"""Opening a clip from whatever holds its frames."""

from __future__ import annotations

from pathlib import Path

from napari_amodal.clip import Clip
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.images import IMAGE_SUFFIXES, open_images
from napari_amodal.formats.tabe51 import is_tabe51, open_tabe51
from napari_amodal.formats.tiff import TIFF_SUFFIXES, open_tiff
from napari_amodal.formats.video import VIDEO_SUFFIXES, open_video


def open_clip(source: str | Path) -> Clip:
    """Open a clip, without reading its frames.

    Parameters
    ----------
    source : str or pathlib.Path
        A video file, a folder of images, a multi-page TIFF or a TABE-51 folder. The clip is named
        after the folder, or the file without its suffix.

    Raises
    ------
    CallError
        There is nothing at that path.
    InputError
        It is nothing that can be opened, or it is broken; the message names the file.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise CallError(f"there is no file or folder {path}")
    path = path.absolute()  # frames are read later, perhaps from another working folder
    suffix = path.suffix.lower()
    if path.is_dir():
        return open_tabe51(path) if is_tabe51(path) else open_images(path)
    if suffix in TIFF_SUFFIXES:
        return open_tiff(path)
    if suffix in VIDEO_SUFFIXES:
        return open_video(path)
    if suffix in IMAGE_SUFFIXES:
        raise InputError(f"{path} is a single image: give the folder that holds the frames")
    raise InputError(
        f"{path} is nothing that can be opened: give a folder of images, a clip folder, a TIFF "
        f"stack or a video ({', '.join(sorted(VIDEO_SUFFIXES))})"
    )
