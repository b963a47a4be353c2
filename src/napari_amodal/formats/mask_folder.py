"""A folder of masks, one a frame, found by the names of the frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from napari_amodal.errors import InputError
from napari_amodal.formats.images import ImageFolder, image_files, read_header, shown
from napari_amodal.formats.mask_png import Labels, check_size, read_labels, read_mask
from napari_amodal.masks import Mask


class MaskFolder(Mapping[int, Mask]):
    """The masks of a folder by frame index; each is read when it is looked up.

    Parameters
    ----------
    files : mapping of int to pathlib.Path
    size : tuple of int
        ``(height, width)`` of every mask.

    Raises
    ------
    InputError
        On a look-up, see `napari_amodal.formats.mask_png.read_mask`.
    """

    def __init__(self, files: Mapping[int, Path], size: tuple[int, int]) -> None:
        self.files = files
        self.size = size

    def __getitem__(self, frame: int) -> Mask:
        return read_mask(self.files[frame], self.size)

    def __contains__(self, frame: object) -> bool:
        return frame in self.files  # Mapping's own would read the mask

    def labels(self, frame: int) -> Labels:
        """The mask with all its objects, int32 ``(H, W)``, for files that hold several."""
        return read_labels(self.files[frame], self.size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def open_mask_folder(folder: Path, frames: ImageFolder) -> MaskFolder:
    """The masks of a folder for the frames of the same names; none where there is no folder.

    Raises
    ------
    InputError
        A mask has no frame, another size than its frame, or is no PNG (named).
    """
    _, height, width, _ = frames.shape
    if not folder.is_dir():
        return MaskFolder({}, (height, width))
    names = frames.files[0].parent.name
    index = {path.stem: at for at, path in enumerate(frames.files)}
    found: dict[int, Path] = {}
    for path in image_files(folder):
        if path.suffix.lower() != ".png":
            raise InputError(
                f"{shown(path)} is no PNG: save masks as PNG, JPEG changes their edges"
            )
        if path.stem not in index:
            raise InputError(
                f"{shown(path)} has no frame: {names}/ holds {len(index)} files, "
                f"{frames.files[0].name} to {frames.files[-1].name}; remove or rename the mask"
            )
        header = read_header(path)
        check_size(path, (header.height, header.width), (height, width))
        found[index[path.stem]] = path
    return MaskFolder(dict(sorted(found.items())), (height, width))
