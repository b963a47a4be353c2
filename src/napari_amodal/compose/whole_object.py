"""Whether the masks that an object's clip folder brings show all of the object."""

from __future__ import annotations

from collections.abc import Sequence

from napari_amodal.compose.description import Described
from napari_amodal.compose.tables import Table, own_folder, read_timing
from napari_amodal.errors import InputError
from napari_amodal.formats.tabe51 import AMODAL, VISIBLE, read_tabe51
from napari_amodal.progress import Watch


def check_whole(described: Described, watch: Watch) -> str:
    """Refuse an object that is hidden already; gives a note where that cannot be told, or "".

    Masks that a description names are taken at its word.

    Raises
    ------
    InputError
        In a frame that is taken, the visible mask of the object's clip folder is not its amodal
        mask; or the folder cannot be read.
    Cancelled
        The watch says so.
    """
    table = Table(described.what["object"], described.base, "object")
    source = own_folder(table)
    if source is None:
        return ""
    read = read_tabe51(source)
    try:
        taken = sorted(read_timing(table).taken(len(read.clip), read.clip.fps))
    except ValueError as error:
        raise InputError(f"{read.clip.name}: {error}") from error
    hidden, alone = [], ""
    for frame in taken:
        watch.check()
        if frame not in read.amodal or frame not in read.visible:
            alone = AMODAL if frame in read.amodal else VISIBLE
        elif (read.amodal[frame] != read.visible[frame]).any():
            hidden.append(frame)
    if hidden:
        raise InputError(
            f"the object of {source} is hidden already in frames {_told(hidden)}, where "
            f"{VISIBLE}/ differ from {AMODAL}/: take frames that show all of it (first, last); "
            "if they do, name its masks (masks)"
        )
    if not alone:
        return ""
    return (
        f"{source} has {alone}/ only: what is composed is exact if nothing hides the object there"
    )


def _told(frames: Sequence[int]) -> str:
    """Rising frames in words, ``3, 17 to 19``."""
    spans: list[list[int]] = []
    for frame in frames:
        if spans and frame == spans[-1][1] + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in spans)
