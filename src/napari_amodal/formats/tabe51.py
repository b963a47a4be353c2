"""The TABE-51 layout: one folder a clip.

``NAME/frames/00000.jpg``, ``NAME/visible_masks/00000.png``, ``NAME/gt_masks/00000.png`` (the amodal
masks; 8 bit, 0 or 255) and ``NAME/annos.json``. A further object of the same clip lies in
``NAME-1``, ``NAME-2``, ... Beside them we write ``napari-amodal.json``: where the masks came from,
and, where a run gave several, all its hypotheses of the amodal masks, ``hypotheses/0/00000.png``.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from napari_amodal.clip import Clip, Frame, clip_over, origin_of
from napari_amodal.errors import InputError
from napari_amodal.formats.annos import annos_json, read_annos, read_json_object
from napari_amodal.formats.images import ImageFolder, natural_key, open_image_folder, shown
from napari_amodal.formats.mask_folder import open_mask_folder
from napari_amodal.formats.mask_png import write_mask
from napari_amodal.formats.replacing import whole_folder
from napari_amodal.levels import FrameOcclusion
from napari_amodal.masks import Mask, MaskStack

FRAMES = "frames"
VISIBLE = "visible_masks"
AMODAL = "gt_masks"
HYPOTHESES = "hypotheses"
ANNOS = "annos.json"
PROVENANCE = "napari-amodal.json"

JPEG_QUALITY = 95

#: Frames that are being encoded at one time.
_WRITERS = 4


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
    hypotheses : mapping of str to mapping
        Every hypothesis of the amodal masks by the name of its folder, best first, as `amodal`;
        empty where there is but the one in ``gt_masks/``.
    """

    clip: Clip
    visible: Mapping[int, Mask]
    amodal: Mapping[int, Mask]
    occlusion: tuple[FrameOcclusion, ...] | None
    provenance: Mapping[str, Any] | None
    hypotheses: Mapping[str, Mapping[int, Mask]] = field(default_factory=dict)


def is_tabe51(folder: Path) -> bool:
    """Whether a path is a folder with a ``frames/`` folder in it."""
    return (folder / "frames").is_dir()


def read_tabe51(folder: Path) -> Tabe51Clip:
    """Open a clip folder; frames and masks are read when they are looked up.

    A mask belongs to the frame whose file has the same name up to the suffix.

    Raises
    ------
    InputError
        Frames are missing, broken or of different sizes, a mask has no frame or another size than
        its frame, or a JSON file is not what it should be; the message names the file.
    """
    if not is_tabe51(folder):
        raise InputError(f"{folder} is no clip folder: it has no folder {FRAMES}/ in it")
    folder = folder.absolute()  # frames are read later, perhaps from another working folder
    frames = open_image_folder(folder / FRAMES)
    annos, provenance = folder / ANNOS, folder / PROVENANCE
    return Tabe51Clip(
        clip=clip_over(folder.resolve().name or "clip", frames, folder),
        visible=open_mask_folder(folder / VISIBLE, frames),
        amodal=open_mask_folder(folder / AMODAL, frames),
        occlusion=read_annos(annos, len(frames.files)) if annos.exists() else None,
        provenance=read_json_object(provenance) if provenance.exists() else None,
        hypotheses={
            path.name: open_mask_folder(path, frames) for path in _hypothesis_folders(folder)
        },
    )


def _hypothesis_folders(folder: Path) -> list[Path]:
    if not (folder / HYPOTHESES).is_dir():
        return []
    found = (path for path in (folder / HYPOTHESES).iterdir() if path.is_dir())
    return sorted((path for path in found if path.name[:1] != "."), key=natural_key)


def open_tabe51(folder: Path) -> Clip:
    """The clip of a clip folder alone; masks and annotations are not looked at."""
    frames = open_image_folder(folder / FRAMES)
    return clip_over(folder.resolve().name or "clip", frames, folder)


def full_stack(masks: Mapping[int, Mask], clip: Clip, what: str) -> MaskStack:
    """All masks of a clip as one stack.

    Parameters
    ----------
    masks : mapping of int to ndarray
        As `Tabe51Clip` has them.
    clip : Clip
    what : str
        Folder of the masks, for messages.

    Raises
    ------
    InputError
        A frame has no mask (named), or a mask is broken or of another size.
    """
    for frame in range(len(clip)):
        if frame not in masks:
            raise InputError(
                f"{what}/{_frame_stem(clip, frame)}.png is missing: of the {len(clip)} frames of "
                f"{clip.name!r} {len(masks)} have a mask there, and every one needs it"
            )
    return MaskStack((masks[frame] for frame in range(len(clip))), clip.height, clip.width)


def _frame_stem(clip: Clip, frame: int) -> str:
    images = _images_of(clip)
    return images.files[frame].stem if images else f"{frame:05d}"


def _images_of(clip: Clip) -> ImageFolder | None:
    """The image files whose contents the clip's frames are, if they are."""
    origin = origin_of(clip.frames)
    return origin.source if origin and isinstance(origin.source, ImageFolder) else None


def write_tabe51(
    folder: Path,
    clip: Clip,
    visible: MaskStack,
    amodal: MaskStack,
    occlusion: tuple[FrameOcclusion, ...],
    provenance: Mapping[str, Any] | None = None,
    *,
    hypotheses: Sequence[MaskStack] = (),
    overwrite: bool = False,
    on_frame: Callable[[int, int], None] | None = None,
) -> None:
    """Write a clip folder; it appears only once it is complete.

    Frames that come from 8-bit JPEG or PNG files are copied unchanged, others are written as JPEG
    of quality 95. They are numbered from ``00000`` on, except where a folder is replaced from which
    the clip's own frames are read: there they keep their files and names, so that the clip stays
    readable.

    Parameters
    ----------
    folder : pathlib.Path
        The clip's own folder, ``OUT/NAME``.
    clip : Clip
    visible, amodal : MaskStack
        ``(T, H, W)``.
    occlusion : tuple of FrameOcclusion
        One a frame.
    provenance : mapping, optional
        Contents of ``napari-amodal.json``.
    hypotheses : sequence of MaskStack
        All hypotheses of the amodal masks, best first, where there are several.
    overwrite : bool
        Replace a clip folder that is there, in one step once the new one is complete. What it
        holds beside our own files moves over.
    on_frame : callable, optional
        Called with the frames written and the number of all; what it raises (`Cancelled`) ends the
        writing and leaves nothing behind.

    Raises
    ------
    CallError
        The folder is there and `overwrite` is False, or it is no clip folder.
    InputError
        A frame cannot be read, or the folder cannot be written (a full disk); whatever was there is
        untouched.
    """
    expected = (len(clip), clip.height, clip.width)
    stacks = {VISIBLE: visible, AMODAL: amodal}
    stacks |= {f"{HYPOTHESES}/{at}": masks for at, masks in enumerate(hypotheses)}
    for what, masks in stacks.items():
        if masks.shape != expected:
            raise ValueError(f"{what} has shape {masks.shape}, the clip has {expected}")
    if len(occlusion) != len(clip):
        raise ValueError(f"{len(occlusion)} occlusions for {len(clip)} frames")
    with whole_folder(
        folder,
        overwrite=overwrite,
        replaceable=is_tabe51,
        ours=frozenset({FRAMES, VISIBLE, AMODAL, HYPOTHESES, ANNOS, PROVENANCE}),
    ) as new:
        for name in (FRAMES, *stacks):
            (new / name).mkdir(parents=True)
        (new / ANNOS).write_text(annos_json(occlusion), "utf-8")
        if provenance is not None:
            text = json.dumps(provenance, indent=1, allow_nan=False)
            (new / PROVENANCE).write_text(text + "\n", "utf-8")
        _write_frames(new, clip, stacks, _plan(folder, clip), on_frame)


def _write_frames(
    new: Path,
    clip: Clip,
    stacks: Mapping[str, MaskStack],
    plan: Callable[[int], _Target],
    on_frame: Callable[[int, int], None] | None,
) -> None:
    """Write frames and masks, reading in order and encoding a few at a time."""
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_WRITERS) as pool:
        for frame in range(len(clip)):
            target = plan(frame)
            file = new / FRAMES / target.file_name
            if target.original is None:
                pending.append(pool.submit(_write_jpeg, file, clip.frame(frame)))
            else:
                pending.append(pool.submit(_copy, target.original, file))
            for name, masks in stacks.items():
                mask_file = new / name / f"{file.stem}.png"
                pending.append(pool.submit(_write_mask, mask_file, masks, frame))
            while len(pending) > 3 * _WRITERS:
                pending.popleft().result()
            if on_frame is not None:
                on_frame(frame + 1, len(clip))
        while pending:
            pending.popleft().result()


@dataclass(frozen=True, slots=True)
class _Target:
    """The name of a frame's new file, and the file to copy it from, if that can be done."""

    file_name: str
    original: Path | None = None


def _plan(folder: Path, clip: Clip) -> Callable[[int], _Target]:
    """Where the frames come from and what their files are called, for writing to `folder`."""
    images = _images_of(clip)
    if images is None:
        return lambda frame: _Target(f"{frame:05d}.jpg")
    if _lies_in(images.files[0], folder):
        return lambda frame: _Target(images.files[frame].name, images.files[frame])

    def numbered(frame: int) -> _Target:
        if not _is_plain(images, frame):
            return _Target(f"{frame:05d}.jpg")
        original = images.files[frame]
        return _Target(f"{frame:05d}{_plain_suffix(original)}", original)

    return numbered


def _lies_in(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


def _is_plain(images: ImageFolder, frame: int) -> bool:
    """Whether a file is a frame of the layout as it is: shades of 8 bits, nothing to rotate."""
    header, suffix = images.headers[frame], images.files[frame].suffix.lower()
    return (
        suffix in (".jpg", ".jpeg", ".png") and header.mode in ("L", "RGB") and not header.rotated
    )


def _plain_suffix(file: Path) -> str:
    return ".png" if file.suffix.lower() == ".png" else ".jpg"


def _copy(original: Path, target: Path) -> None:
    if not original.is_file():
        raise InputError(f"{shown(original)} is gone since the clip was opened: restore it")
    shutil.copyfile(original, target)


def _write_jpeg(path: Path, frame: Frame) -> None:
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    path.write_bytes(jpeg.tobytes())


def _write_mask(path: Path, masks: MaskStack, frame: int) -> None:
    write_mask(path, masks[frame])
