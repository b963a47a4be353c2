"""Predictions in the layout of the published code.

``OUT/EXPERIMENT/TABE51/vis/NAME/final_outputs/HYPOTHESIS/masks/0.png``, ``1.png``, ...: amodal
masks of every frame, for one or more hypotheses of each clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_amodal.errors import InputError
from napari_amodal.formats.images import image_files, natural_key, read_header, shown
from napari_amodal.formats.mask_folder import MaskFolder

_HYPOTHESES = "final_outputs"

#: Where the folders of the clips are, from ``OUT``, ``EXPERIMENT``, ``TABE51`` or ``vis`` itself.
_CLIPS = ("*/*/vis/*", "*/vis/*", "vis/*", "*")


def find_predictions(root: Path) -> Mapping[str, tuple[Path, ...]]:
    """The predictions under a folder at any level of the layout.

    Parameters
    ----------
    root : pathlib.Path
        ``OUT``, or a folder in it down to that of one clip.

    Returns
    -------
    mapping of str to tuple of pathlib.Path
        Name of the clip to the ``masks`` folders of its hypotheses, in natural order; empty where
        there is none.

    Raises
    ------
    InputError
        Two experiments hold the same clip.
    """
    found: dict[str, Path] = {}
    folders = [root, *(folder for pattern in _CLIPS for folder in sorted(root.glob(pattern)))]
    for folder in folders:
        if not (folder / _HYPOTHESES).is_dir():
            continue
        name = folder.resolve().name
        if name in found:
            raise InputError(
                f"{root} holds {name!r} twice, in {found[name]} and {folder}: "
                "give the folder of one experiment"
            )
        found[name] = folder
    return {name: _hypotheses(found[name]) for name in sorted(found)}


def _hypotheses(folder: Path) -> tuple[Path, ...]:
    found = [
        path / "masks" for path in (folder / _HYPOTHESES).iterdir() if (path / "masks").is_dir()
    ]
    return tuple(sorted(found, key=lambda path: natural_key(path.parent)))


def read_prediction(masks: Path) -> MaskFolder:
    """The masks of one hypothesis by frame index, each read when it is looked up.

    Raises
    ------
    InputError
        There are no masks, or a file is not named after its frame.
    """
    files = [path for path in image_files(masks) if path.suffix.lower() == ".png"]
    if not files:
        raise InputError(f"{masks} holds no PNG masks")
    for path in files:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(f"{shown(path)} is not named after its frame, as 0.png is")
    header = read_header(files[0])
    return MaskFolder({int(path.stem): path for path in files}, (header.height, header.width))
