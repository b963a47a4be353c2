"""The TABE-51 layout: one folder a clip.

``NAME/frames/00000.jpg``, ``NAME/visible_masks/00000.png``, ``NAME/gt_masks/00000.png`` (the amodal
masks; 8 bit, 0 or 255) and ``NAME/annos.json``. A further object of the same clip lies in
``NAME-1``, ``NAME-2``, ... Beside them we write ``napari-amodal.json``: where the masks came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal.clip import Clip
from napari_amodal.levels import FrameOcclusion
from napari_amodal.masks import Mask, MaskStack


@dataclass(frozen=True)
class Tabe51Clip:
    """A clip folder as read.

    Attributes
    ----------
    clip : Clip
    visible : mapping of int to ndarray
        Frame index to visible mask, bool ``(H, W)``, for the frames that have one (a custom clip
        may have it for the query frame only); each is read when it is looked up.
    amodal : mapping of int to ndarray
        The same for ``gt_masks/``.
    occlusion : tuple of FrameOcclusion or None
        What ``annos.json`` says, one entry a frame; None without that file.
    provenance : mapping or None
        ``napari-amodal.json``; None without that file.
    """

    clip: Clip
    visible: Mapping[int, Mask]
    amodal: Mapping[int, Mask]
    occlusion: tuple[FrameOcclusion, ...] | None
    provenance: Mapping[str, Any] | None


def is_tabe51(folder: Path) -> bool:
    """Whether a path is a folder with a ``frames/`` folder in it."""
    return (folder / "frames").is_dir()


def read_tabe51(folder: Path) -> Tabe51Clip:
    """Open a clip folder; frames and masks are read when they are looked up."""
    raise NotImplementedError


def write_tabe51(
    folder: Path,
    clip: Clip,
    visible: MaskStack,
    amodal: MaskStack,
    occlusion: tuple[FrameOcclusion, ...],
    provenance: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a clip folder; it appears only once it is complete."""
    raise NotImplementedError
