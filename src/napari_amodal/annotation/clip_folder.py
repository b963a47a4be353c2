"""The clips of a folder that is to be annotated, with their reviews."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_amodal.annotation.review import REVIEW, ClipReview, ReviewStatus, read_review
from napari_amodal.errors import InputError
from napari_amodal.formats.images import IMAGE_SUFFIXES
from napari_amodal.formats.tabe51 import is_tabe51
from napari_amodal.formats.tiff import TIFF_SUFFIXES
from napari_amodal.formats.video import VIDEO_SUFFIXES

SESSION_SUFFIX = ".amodal"


@dataclass(frozen=True)
class ListedClip:
    """A clip of the folder.

    Attributes
    ----------
    name : str
        The folder's name, or the file's without its suffix.
    path : pathlib.Path
    review : ClipReview
    fault : str
        What is wrong with the file of its review; empty where nothing is.
    """

    name: str
    path: Path
    review: ClipReview
    fault: str = ""


def clips_in(folder: Path) -> list[ListedClip]:
    """The clips of a folder by name: clip folders, folders of images, videos, TIFF stacks.

    Raises
    ------
    InputError
        The folder cannot be read, or holds no clip.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if _is_clip(path))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error
    if not paths:
        raise InputError(f"{folder} holds no clips: choose the folder that holds clip folders")
    return [_listed(folder, path) for path in paths]


def _listed(folder: Path, path: Path) -> ListedClip:
    name = path.name if path.is_dir() else path.stem
    try:
        return ListedClip(name, path, read_review(folder, name))
    except InputError as error:
        return ListedClip(name, path, ClipReview(), str(error))


def _is_clip(path: Path) -> bool:
    if path.name.startswith(".") or path.name == REVIEW or path.suffix == SESSION_SUFFIX:
        return False
    if path.is_file():
        return path.suffix.lower() in {*VIDEO_SUFFIXES, *TIFF_SUFFIXES}
    if is_tabe51(path):
        return True
    return any(inside.suffix.lower() in IMAGE_SUFFIXES for inside in path.iterdir())


def counts(clips: list[ListedClip]) -> dict[ReviewStatus, int]:
    """How many clips have each status."""
    found = dict.fromkeys(ReviewStatus, 0)
    for clip in clips:
        found[clip.review.status] += 1
    return found
