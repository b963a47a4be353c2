"""What the completer's network is shown of a chunk of frames: windows, and evidence from the rest.

The channels are those that the network was trained on: ``training/completer_windows.py`` makes the
same ones on the card (`windows_of`, `evidence_of`), and its check compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.clip import Frame
from napari_amodal.draft.motion import Transform
from napari_amodal.draft.window_path import Window
from napari_amodal.masks import Mask

Float = NDArray[np.float32]

#: Frames are looked at with this longest side, in pixels.
LONGEST_SIDE = 320
#: Cells along each side of a window, and of the coarser one for evidence from other frames.
WINDOW, COARSE = 128, 64
#: Colour difference (of 1) at which two views hardly match any more.
_TOLERANCE = 0.08
#: Cover from which a pixel no longer shows what is behind the object, and from which it is object.
_BESIDE, _COVERED = 0.06, 0.8


@dataclass(frozen=True)
class Look:
    """One frame as the network is shown it.

    Attributes
    ----------
    picture : ndarray
        float32 ``(h, w, 4)`` at working size: red, green and blue less 0.5, and the visible mask.
    window : Window
        In pixels of that picture.
    camera : ndarray
        Takes a common background to the picture, both in its pixels.
    time : int
        Number of the frame.
    confidence : float
        Of the visible mask, 0..1.
    whole : bool
        Whether the mask is known to show the whole object.
    """

    picture: Float
    window: Window
    camera: Transform
    time: int
    confidence: float
    whole: bool


def working_scale(height: int, width: int) -> float:
    return min(1.0, LONGEST_SIDE / max(height, width))


def working_picture(frame: Frame, visible: Mask) -> Float:
    """A frame and its visible mask at working size, for `Look`."""
    scale = working_scale(*frame.shape[:2])
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    mask = cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.dstack([small / 255 - 0.5, mask]).astype(np.float32)


def to_working(height: int, width: int) -> Transform:
    """From pixels of a frame to those of its working picture."""
    scale = working_scale(height, width)
    across = max(1, round(width * scale)) / width
    down = max(1, round(height * scale)) / height
    return np.array(
        [[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]], np.float64
    )


def chunk_channels(looks: Sequence[Look]) -> dict[str, Float]:
    """The network's inputs for a chunk of T frames in the order of time.

    Returns
    -------
    dict of str to ndarray
        ``fine`` ``(T, 11, 128, 128)``, ``coarse`` ``(T, 8, 64, 64)`` and ``times`` ``(T,)``.
    """
    times = np.array([look.time for look in looks], np.float32)
    return {"fine": _fine(looks), "coarse": _coarse(looks), "times": times - times[0]}


def _fine(looks: Sequence[Look]) -> Float:
    count = len(looks)
    channels = np.empty((count, 11, WINDOW, WINDOW), np.float32)
    for index, look in enumerate(looks):
        cells = look.window.to_frame(WINDOW)
        found = _warped(look.picture, cells, WINDOW)
        channels[index, :4] = found.transpose(2, 0, 1)
        channels[index, 4] = _inside(look, WINDOW)
    visible = channels[:, 3]
    seen = visible.mean(axis=(1, 2), keepdims=True)
    weight = (seen / max(float(seen.max()), 1e-4)) ** 2 + 1e-4
    before, after = _neighbours(count)
    channels[:, 5], channels[:, 6] = visible[before], visible[after]
    channels[:, 7] = (visible * weight).sum(axis=0) / weight.sum()
    channels[:, 8] = visible.max(axis=0)
    for channel, other in ((9, before), (10, after)):
        change = np.abs(channels[:, :3] - channels[other, :3])
        channels[:, channel] = 2 * change.mean(axis=1)
    return channels


def _neighbours(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    frames = np.arange(count)
    return np.maximum(frames - 1, 0), np.minimum(frames + 1, count - 1)


def _warped(image: Float, transform: Transform, cells: int) -> Float:
    found = cv2.warpPerspective(
        image, transform, (cells, cells), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(found, np.float32)


def _inside(look: Look, cells: int) -> Float:
    """How far each cell lies in the frame, 0..1, fading over a pixel."""
    height, width = look.picture.shape[:2]
    to_frame = look.window.to_frame(cells)
    line = np.arange(cells)
    x, y = to_frame[0, 0] * line + to_frame[0, 2], to_frame[1, 1] * line + to_frame[1, 2]
    across = np.minimum(x + 1, width - x).clip(0, 1)
    down = np.minimum(y + 1, height - y).clip(0, 1)
    return np.asarray(down[:, None] * across, np.float32)


def _coarse(looks: Sequence[Look]) -> Float:
    count = len(looks)
    channels = np.zeros((count, 8, COARSE, COARSE), np.float32)
    images = [_blurred(look.picture) for look in looks]
    cells = [look.window.to_frame(COARSE) for look in looks]
    for index, look in enumerate(looks):
        here = _coarse_view(images[index], cells[index])[..., :3]
        from_cells = np.linalg.inv(look.camera) @ cells[index]
        votes = _Votes.none()
        for ahead in (-1, 1):
            covered = np.zeros((COARSE, COARSE), np.float32)
            others = range(index - 1, -1, -1) if ahead < 0 else range(index + 1, count)
            for away, other in enumerate(others, 1):
                there = _coarse_view(images[other], looks[other].camera @ from_cells)
                covered = votes.add(there, here, covered, ahead if away == 1 else 0)
        channels[index, :6] = votes.channels(max(count - 1, 1))
        channels[index, 6] = look.confidence
        channels[index, 7] = look.whole
    return channels


#: In `_coarse_view` the object's cover is 0..FULL; beyond the frame it is OUTSIDE.
_FULL, _OUTSIDE = 100, 255
#: How well two colours match, by their difference (0..255).
_MATCH = np.exp(-((np.arange(256) / 255 / _TOLERANCE) ** 2)).astype(np.float32)


def _blurred(picture: Float) -> NDArray[np.uint8]:
    """Colours and cover, averaged over 3 x 3 pixels, uint8 ``(h, w, 4)``."""
    soft = cv2.blur(picture, (3, 3))
    scaled = soft * (255, 255, 255, _FULL) + (127.5, 127.5, 127.5, 0)
    return np.asarray(np.rint(scaled).clip(0, 255), np.uint8)


def _coarse_view(image: NDArray[np.uint8], transform: Transform) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpPerspective(
        image, transform, (COARSE, COARSE), flags=flags, borderValue=(127, 127, 127, _OUTSIDE)
    )
    return np.asarray(found, np.uint8)


@dataclass
class _Votes:
    """What the other frames say of a window's cells, each float32 ``(64, 64)``; see `_coarse`."""

    views: Float
    same: Float
    beyond: Float
    over: Float
    before: Float
    after: Float

    @classmethod
    def none(cls) -> _Votes:
        zeros = [np.zeros((COARSE, COARSE), np.float32) for _ in range(4)]
        return cls(*zeros, *(np.full((COARSE, COARSE), 0.5, np.float32) for _ in range(2)))

    def add(
        self, there: NDArray[np.uint8], here: NDArray[np.uint8], covered: Float, side: int
    ) -> Float:
        """Take in another frame; `side` is -1 or 1 for the very next one in that direction.

        Returns `covered`: where the object was in the way in any frame up to this one.
        """
        cover = there[..., 3]
        view = (cover < _BESIDE * _FULL).astype(np.float32)
        apart = cv2.absdiff(there[..., :3], here)
        match = _MATCH[apart.max(axis=2)] * view
        self.views += view
        self.same += match
        self.beyond = np.maximum(self.beyond, match * covered)
        hidden = ((cover > _COVERED * _FULL) & (cover <= _FULL)).astype(np.float32)
        self.over += hidden
        if side:
            beside = match + np.float32(0.5) * (1 - view)
            if side < 0:
                self.before = beside
            else:
                self.after = beside
        return np.maximum(covered, hidden)

    def channels(self, others: int) -> Float:
        return np.stack(
            [
                self.same / np.maximum(self.views, 1),
                self.views / others,
                self.beyond,
                self.before,
                self.after,
                self.over / others,
            ]
        )
