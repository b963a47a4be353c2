"""The image files of a dataset's frames: finding them, and putting them into another dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import DatasetClip
from napari_amodal.formats.images import ImageFolder, image_files, read_header, shown

#: Where frames lie beside the annotations, in the layouts that are about.
_ROOTS = ("images", "frames", "JPEGImages", "")

_PLAIN = frozenset({".jpg", ".jpeg", ".png"})
JPEG_QUALITY = 95


def find_frames(roots: tuple[Path, ...], names: tuple[str, ...]) -> tuple[Path, ...] | None:
    """The files of frames by their (checked) names, under the first root that has them.

    None where no root has the first one.

    Raises
    ------
    InputError
        One of the others is missing, or a link leads out of the root.
    """
    for root in roots:
        if not (root / names[0]).is_file():
            continue
        real = root.resolve()
        for name in names:
            path = root / name
            if not path.is_file():
                raise InputError(f"{path} is missing, {root / names[0]} is there: restore it")
            if not path.resolve().is_relative_to(real):
                raise InputError(f"{path} leads out of {root}: put the frame itself there")
        return tuple(root / name for name in names)
    return None


def roots_beside(annotations: Path, images: Path | None) -> tuple[Path, ...]:
    """Where to look for frames: the folder that was given, or the usual ones beside a file."""
    folder = annotations.absolute().parent
    return (images.absolute(),) if images else tuple(folder / name for name in _ROOTS)


def frames_in(folder: Path, count: int) -> tuple[Path, ...] | None:
    """The images of a folder in natural order, if there are `count` of them; None without any."""
    files = image_files(folder) if folder.is_dir() else ()
    if files and len(files) != count:
        raise InputError(f"{folder} holds {len(files)} images, the clip has {count} frames")
    return files or None


def put_frames(clip: DatasetClip, root: Path) -> None:
    """Copy the frames of a clip, where they are there, to the names that they have in it."""
    for at, image in enumerate(clip.images or ()):
        put_frame(clip, image, root / clip.frame_names[at])


def put_numbered_frames(clip: DatasetClip, folder: Path) -> None:
    """Copy the frames of a clip to ``folder/00000.jpg``, ``00001.jpg``, ...

    Images that are no JPEG or PNG become JPEG.
    """
    for at, image in enumerate(clip.images or ()):
        suffix = ".png" if image.suffix.lower() == ".png" else ".jpg"
        put_frame(clip, image, folder / f"{at:05d}{suffix}")


def put_frame(clip: DatasetClip, image: Path, target: Path) -> None:
    """Copy one frame to a file that is not there yet.

    Raises
    ------
    InputError
        It is broken, of another size than the clip, or another frame has that name.
    """
    header = read_header(image)
    if (header.height, header.width) != (clip.height, clip.width):
        raise InputError(
            f"{shown(image)} is {header.size}, {clip.name!r} is {clip.width}x{clip.height}: "
            "give the frames that belong to it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise InputError(f"two frames are called {target.name} in {target.parent.name}/")
    if image.suffix.lower() in _PLAIN or target.suffix.lower() == image.suffix.lower():
        shutil.copyfile(image, target)
        return
    frame = ImageFolder((image,), (header,)).read(0)
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    target.write_bytes(jpeg.tobytes())
