"""A folder of images, one a frame, in natural order (``img2`` before ``img10``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from napari_amodal.clip import Clip, Frame, clip_over
from napari_amodal.errors import InputError
from napari_amodal.formats.pixels import Limits, limits_of, rgb_frame, sampled

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

#: Pillow's modes whose values are not shades from 0 to 255.
_DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of an image without decoding it.

    Attributes
    ----------
    height, width : int
        As it is shown, that is after the rotation that EXIF asks for.
    mode : str
        Pillow's.
    rotated : bool
        Whether EXIF asks for a rotation or a flip.
    """

    height: int
    width: int
    mode: str
    rotated: bool

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT``, for messages."""
        return f"{self.width}x{self.height}"


def shown(path: Path) -> str:
    """A file with its folder, for messages: ``frames/00003.jpg``."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def natural_key(path: Path) -> tuple[Any, ...]:
    """Sorts ``img2`` before ``img10``."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts)), path.name


def image_files(folder: Path) -> tuple[Path, ...]:
    """The images of a folder in natural order, hidden files left out."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error
    return tuple(sorted((path for path in found if path.is_file()), key=natural_key))


def read_header(path: Path) -> ImageHeader:
    """Size and kind of an image file.

    Raises
    ------
    InputError
        It is no image, or it ends before its end.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            # Only what stands before the pixels is looked at: `getexif` would decode a PNG.
            exif = (
                image.getexif() if image.format in ("JPEG", "MPO") or "exif" in image.info else {}
            )
            turn = exif.get(_ORIENTATION, 1) if image.format != "TIFF" else 1
            width, height = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
            header = ImageHeader(height, width, image.mode, turn in range(2, 9))
            if not _ends_well(file, image):
                image.load()
    except Exception as error:  # broken files make Pillow raise almost anything
        raise unreadable(path, error) from error
    return header


def _ends_well(file: IO[bytes], image: Image.Image) -> bool:
    """Whether the file has the end that its format asks for; a cheap look, no decoding."""
    at = file.tell()
    size = file.seek(0, 2)
    file.seek(max(0, size - 12))
    tail = file.read()
    file.seek(at)
    match image.format:
        case "JPEG" | "MPO":
            return tail.endswith(b"\xff\xd9")
        case "PNG":
            return tail[4:8] == b"IEND"
        case "WEBP":
            file.seek(4)
            said = int.from_bytes(file.read(4), "little")
            file.seek(at)
            return size >= said + 8
        case "BMP" | "PPM" | "TIFF":
            tiles: Sequence[Any] = getattr(image, "tile", ())
            raw = len(tiles) == 1 and tiles[0][0] == "raw"
            bands = {"I;16": 2, "I": 4, "F": 4}.get(image.mode, len(image.getbands()))
            needed = int(tiles[0][2]) + image.size[0] * image.size[1] * bands if raw else size + 1
            return size >= needed
        case _:
            return False


def unreadable(path: Path, error: Exception) -> InputError:
    """What to tell of an image file that Pillow could not read."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, UnidentifiedImageError) or not str(error):
        reason = "it is no image, or an empty or broken one"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    else:
        reason = f"it is truncated or broken ({error})"
    return InputError(f"{shown(path)} cannot be read: {reason}; restore the file or remove it")


class ImageFolder:
    """The frames of a folder of images; a `FrameSource`.

    Attributes
    ----------
    files : tuple of pathlib.Path
        One a frame.
    headers : tuple of ImageHeader
        One a frame.
    """

    def __init__(self, files: tuple[Path, ...], headers: tuple[ImageHeader, ...]) -> None:
        self.files = files
        self.headers = headers

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.files), self.headers[0].height, self.headers[0].width, 3

    @cached_property
    def _limits(self) -> Limits:
        """One range for all the frames of more than 8 bits."""
        deep = [at for at, header in enumerate(self.headers) if header.mode in _DEEP]
        return limits_of(self._decode(deep[n]) for n in sampled(len(deep)))

    def read(self, frame: int) -> Frame:
        pixels = self._decode(frame)
        frame_rgb = rgb_frame(pixels if pixels.dtype == np.uint8 else self._limits.apply(pixels))
        if frame_rgb.shape != self.shape[1:]:
            height, width, _ = frame_rgb.shape
            raise InputError(
                f"{shown(self.files[frame])} is {width}x{height} now, "
                f"the frames are {self.headers[0].size}: it was changed since the clip was opened"
            )
        return frame_rgb

    def _decode(self, frame: int) -> NDArray[Any]:
        """uint8 ``(H, W, 3)``, or deeper ``(H, W)``."""
        path = self.files[frame]
        try:
            with Image.open(path) as opened:
                image: Image.Image = opened
                if self.headers[frame].rotated:
                    image = ImageOps.exif_transpose(opened)
                return np.asarray(image if image.mode in _DEEP else image.convert("RGB"))
        except Exception as error:  # broken files make Pillow raise almost anything
            raise unreadable(path, error) from error


def open_image_folder(folder: Path) -> ImageFolder:
    """The images of a folder as frames; only their headers and ends are read.

    Raises
    ------
    InputError
        There are no images, one is missing, truncated or of another size (named).
    """
    files = image_files(folder)
    if not files:
        raise InputError(
            f"{folder} holds no images; frames are {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    _check_names(files)
    with ThreadPoolExecutor(8) as pool:
        headers = tuple(pool.map(read_header, files))
    usual = Counter(header.size for header in headers).most_common(1)[0][0]
    for path, header in zip(files, headers, strict=True):
        if header.size != usual:
            raise InputError(
                f"{shown(path)} is {header.size}, the frames are {usual}: "
                "give all frames of a clip one size"
            )
    return ImageFolder(files, headers)


def open_images(folder: Path) -> Clip:
    """A clip over a folder of images, named after it."""
    source = open_image_folder(folder)
    return clip_over(folder.resolve().name or "clip", source, folder)


def _check_names(files: tuple[Path, ...]) -> None:
    for first, second in pairwise(sorted(files, key=lambda path: path.stem)):
        if first.stem == second.stem:
            raise InputError(
                f"{shown(first)} and {shown(second)} are one frame twice: remove one of them"
            )
    missing = missing_file(files)
    if missing is not None:
        raise InputError(
            f"{shown(missing)} is missing, the files before and after it are there: "
            "restore it, or number the frames without a gap"
        )


def missing_file(files: tuple[Path, ...]) -> Path | None:
    """The first file that lacks in numbered files, if the numbers otherwise keep one step.

    The step is the smallest that occurs; where fewer than half of the files keep it, the numbers
    are no count of frames (time stamps, say) and nothing is missing.
    """
    parts = [re.fullmatch(r"(.*?)([0-9]+)", path.stem) for path in files]
    if len(files) < 3 or None in parts or len({m[1] for m in parts if m}) > 1:
        return None
    numbers = [int(m[2]) for m in parts if m]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    step = min(steps)
    if step <= 0 or 2 * steps.count(step) < len(steps):
        return None
    for path, number, gap in zip(files, numbers, steps, strict=False):
        if gap != step and gap % step == 0:
            part = re.fullmatch(r"(.*?)([0-9]+)", path.stem)
            assert part is not None
            digits = str(number + step).zfill(len(part[2]))
            return path.with_name(f"{part[1]}{digits}{path.suffix}")
    return None
