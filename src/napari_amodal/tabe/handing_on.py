"""What chunks that share frames hand on: a video goes on where the one before it was made.

The published code refuses an object that is hidden for longer than a chunk. Here such a chunk is
parted into stretches that share frames (`chunks.chunks_of`); what was generated of those is given
to the next stretch, to go on from. Chunks of the published kind share only unoccluded frames, of
which nothing is generated: nothing is handed on between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Frame
from napari_amodal.masks import Mask
from napari_amodal.tabe.canvas import CanvasFrames


@dataclass(frozen=True)
class HandedOn:
    """A frame as it was generated.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(S, S, 3)``: the whole object on white.
    mask : ndarray
        bool ``(S, S)``: its amodal mask on the canvas.
    """

    pixels: Frame
    mask: Mask


def in_order(chunks: Sequence[range], known: Set[int]) -> tuple[range, ...]:
    """The chunks in an order in which one without a known frame follows one that it shares with.

    Parameters
    ----------
    chunks : sequence of range
        In the order of time.
    known : set of int
        Frames in which something of the object is known.
    """
    made = [chunk for chunk in chunks if not known.isdisjoint(chunk)]
    left = [chunk for chunk in chunks if known.isdisjoint(chunk)]
    while left:
        reached = {frame for chunk in made for frame in chunk}
        follower = next((chunk for chunk in left if not reached.isdisjoint(chunk)), left[0])
        made.append(follower)
        left.remove(follower)
    return tuple(made)


def going_on(
    given: CanvasFrames, chunk: range, handed: Mapping[int, HandedOn]
) -> tuple[CanvasFrames, dict[int, Mask]]:
    """A chunk with the frames that were generated before as given.

    Returns
    -------
    CanvasFrames
        The same arrays where nothing is handed on.
    dict of int to ndarray
        Index in the chunk to amodal mask, bool ``(S, S)``, of the frames that were handed on.
    """
    shared = {at: handed[frame] for at, frame in enumerate(chunk) if frame in handed}
    if not shared:
        return given, {}
    pixels, hidden = given.pixels.copy(), given.hidden.copy()
    for at, frame in shared.items():
        pixels[at] = frame.pixels
        hidden[at] = False
    masks = {at: frame.mask for at, frame in shared.items()}
    return replace(given, pixels=pixels, hidden=hidden), masks


def handed_on(
    given: CanvasFrames,
    chunk: range,
    video: NDArray[np.uint8],
    masks: Sequence[Mask],
    wanted: Collection[int],
) -> dict[int, HandedOn]:
    """What a chunk hands on, by frame of the clip; what it was given is seen as it is.

    Parameters
    ----------
    video : ndarray
        uint8 ``(T, S, S, 3)``.
    masks : sequence of ndarray
        Its amodal masks on the canvas. A frame in which none was found is not handed on.
    wanted : collection of int
        Frames that chunks to come share.
    """
    found = {}
    for at, frame in enumerate(chunk):
        if frame in wanted and masks[at].any():
            whole = masks[at] | given.visible[at]
            pixels = np.where(given.visible[at][..., None], given.pixels[at], video[at])
            found[frame] = HandedOn(np.where(whole[..., None], pixels, np.uint8(255)), whole)
    return found


def shared_with(chunk: range, others: Iterable[range]) -> frozenset[int]:
    """Frames of a chunk that lie in others as well."""
    return frozenset(frame for other in others for frame in other if frame in chunk)
