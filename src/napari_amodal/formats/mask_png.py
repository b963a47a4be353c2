"""Mask images: read whatever tells object from background without a doubt, write 0 and 255."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_amodal.errors import InputError
from napari_amodal.formats.images import shown, unreadable
from napari_amodal.masks import Mask

Labels = NDArray[np.int32]

#: Grey values below this are labels where an image has several of them; more than a handful of
#: objects is not drawn in 8-bit grey, where they could not be told from each other.
LABELS_BELOW = 32

#: In palette images of data sets (DAVIS, YouTube-VOS) this index is no object but "do not care".
_VOID = 255


def read_labels(path: Path, size: tuple[int, int] | None = None) -> Labels:
    """Read a mask image as labels, int32 ``(H, W)``, 0 for the background.

    ============================ ================================================================
    image                        labels
    ============================ ================================================================
    1 bit; two values, one of    1 where it is not 0; a single value below 32 other than 0 is
    them 0 (0/255, 0/1, ...)     kept as the label
    8-bit grey, all below 32     the values
    16 or 32 bit, whole numbers  the values (65535 as the only one: 1)
    palette of colours           the indices (DAVIS); 255 beside others is background
    palette of greys             as the greys that it shows
    RGB, RGBA                    as grey, if red, green and blue are equal and nothing is
                                 transparent
    ============================ ================================================================

    Parameters
    ----------
    path : pathlib.Path
    size : tuple of int, optional
        ``(height, width)`` that the mask must have.

    Raises
    ------
    InputError
        The file is missing or broken, has another size, or its values could mean anything (an
        anti-aliased mask, a photograph); the message names the values.
    """
    try:
        with Image.open(path) as image:
            values = _values(image, path)
    except Exception as error:  # broken files make Pillow raise almost anything
        raise unreadable(path, error) from error
    check_size(path, values.shape, size)
    return values.astype(np.int32)


def check_size(path: Path, found: tuple[int, ...], size: tuple[int, int] | None) -> None:
    """Raise `InputError` where a mask of ``(height, width)`` `found` is to be of another size."""
    if size is not None and found != size:
        raise InputError(
            f"{shown(path)} is {found[1]}x{found[0]}, the frames are {size[1]}x{size[0]}: "
            "make the mask as large as its frame"
        )


def read_mask(path: Path, size: tuple[int, int] | None = None) -> Mask:
    """Read the mask of one object, bool ``(H, W)``.

    Raises
    ------
    InputError
        As `read_labels`, and where the image holds more than one object.
    """
    labels = read_labels(path, size)
    mask: Mask = labels != 0
    if mask.any() and np.ptp(labels[mask]):
        raise InputError(
            f"{shown(path)} holds several objects (labels {_listed(np.unique(labels[mask]))}): "
            "keep one of them in it"
        )
    return mask


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask, bool ``(H, W)``, as an 8-bit grey PNG of 0 and 255."""
    # Masks are long runs: the fastest level makes them small enough.
    done, png = cv2.imencode(".png", mask.view(np.uint8) * 255, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    path.write_bytes(png.tobytes())


def _values(image: Image.Image, path: Path) -> NDArray[Any]:
    if image.mode == "P":
        return _palette_values(image, path)
    if image.mode in ("1", "L"):
        return _grey_values(np.asarray(image.convert("L")), path)
    if image.mode in ("RGB", "RGBA", "LA"):
        return _grey_values(_grey_of(np.asarray(image), image.mode, path), path)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        top = np.iinfo(np.uint16).max
        return np.where(values == top, 1, 0) if _only(values, top) else values
    raise InputError(
        f"{shown(path)} is an image of kind {image.mode}: save the mask as 8-bit grey, 0 and 255"
    )


def _palette_values(image: Image.Image, path: Path) -> NDArray[Any]:
    indices = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    # All of its colours: some of those of DAVIS are greys (7, 56, 63, ...).
    if (palette == palette[:, :1]).all():  # the palette only packs a grey image
        return _grey_values(np.asarray(image.convert("L")), path)
    return np.where(indices == _VOID, 1 if _only(indices, _VOID) else 0, indices)


def _only(values: NDArray[Any], value: int) -> bool:
    """Whether 0 and `value` are the only values."""
    return not np.any((values != 0) & (values != value))


def _grey_of(pixels: NDArray[np.uint8], mode: str, path: Path) -> NDArray[np.uint8]:
    if mode.endswith("A") and pixels[..., -1].min() < 255:
        raise InputError(
            f"{shown(path)} is partly transparent: save the mask as 8-bit grey, 0 and 255"
        )
    colours = pixels[..., :-1] if mode.endswith("A") else pixels
    if (colours != colours[..., :1]).any():
        raise InputError(
            f"{shown(path)} is a colour image: save the mask as 8-bit grey, 0 and 255, or as a "
            "palette image with one index an object"
        )
    return np.ascontiguousarray(colours[..., 0])


def _grey_values(grey: NDArray[np.uint8], path: Path) -> NDArray[Any]:
    # Four times as quick as np.unique, and so often called that it shows.
    used = np.flatnonzero(cv2.calcHist([np.ascontiguousarray(grey)], [0], None, [256], [0, 256]))
    if used[-1] < LABELS_BELOW:
        return grey
    if len(used) <= 2 and (used[0] == 0 or len(used) == 1):
        inside: Mask = grey != 0
        return inside.astype(np.uint8)
    raise InputError(
        f"{shown(path)} holds the grey values {_listed(used)}: a mask is 0 and 255, or labels "
        f"below {LABELS_BELOW}; set every pixel to 0 or 255"
    )


def _listed(values: NDArray[Any]) -> str:
    """The first few values, in words."""
    few = ", ".join(str(value) for value in values[:6])
    return f"{few}, ... ({len(values)} of them)" if len(values) > 6 else few
