"""Completing one object by the network: chunks of frames in, amodal masks of every frame out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box
from napari_amodal.clip import Clip
from napari_amodal.draft.completer_network import Answer, Float
from napari_amodal.draft.motion import Transform
from napari_amodal.draft.window_path import Window
from napari_amodal.draft.window_views import (
    WINDOW,
    Look,
    chunk_channels,
    to_working,
    working_picture,
)
from napari_amodal.masks import Mask, MaskStack

#: Most frames that the network sees together, and how many of a segment's frames are seen in one
#: chunk, one in every few, when there are more segments.
MOST_FRAMES = 16
_SEGMENT, _OWN_FRAMES = 42, 14
#: Frames of other segments that are shown with a segment: the best seen within so many frames.
_REMEMBERED_WITHIN = 90


class Answers(Protocol):
    """What draws the object in the windows of a chunk."""

    def answer(self, channels: Mapping[str, Float]) -> list[Answer]:
        """An answer for each frame of a chunk's channels (`window_views.chunk_channels`)."""
        ...


@dataclass(frozen=True)
class ObjectScene:
    """One object over the whole clip, as the network needs it.

    Attributes
    ----------
    visible : MaskStack
        ``(T, H, W)``, with the amodal mask where that is known.
    whole : frozenset of int
        Frames known to show the whole object.
    confidence : ndarray
        float32 ``(T,)``.
    windows : tuple of Window
        In pixels of the frames.
    camera : sequence of ndarray
        `ClipMotion.camera`.
    """

    visible: MaskStack
    whole: frozenset[int]
    confidence: NDArray[np.float32]
    windows: tuple[Window, ...]
    camera: Sequence[Transform]


@dataclass(frozen=True)
class Drawn:
    """What is drawn of one frame.

    Attributes
    ----------
    box : Box or None
        The part of the frame that the window covers; None: it lies outside.
    amodal : tuple of ndarray
        Float32 logits of each hypothesis within the box.
    front : ndarray
        The same of what is in front of the object.
    beyond : Box or None
        The box of the first hypothesis, beyond the frame too; None: nothing is drawn.
    occluded, quality : float
        See `Answer`.
    cell : float
        Pixels a cell of the window.
    """

    box: Box | None
    amodal: tuple[NDArray[np.float32], ...]
    front: NDArray[np.float32]
    beyond: Box | None
    occluded: float
    quality: float
    cell: float


def chunks(count: int, areas: NDArray[np.int64]) -> Iterator[tuple[list[int], frozenset[int]]]:
    """Frames that are shown together, in order, and which of them are to be answered.

    Every frame is answered once. A chunk holds one in every few frames of a segment, so that each
    is seen with the whole segment around it; clips of several segments add to each the frames of
    others that show most of the object, before and after.
    """
    if count <= 3 * MOST_FRAMES:
        yield from ((own, frozenset(own)) for own in _interleaved(range(count), MOST_FRAMES))
        return
    for begin in range(0, count, _SEGMENT):
        segment = range(begin, min(begin + _SEGMENT, count))
        remembered = _best_seen(areas, max(0, begin - _REMEMBERED_WITHIN), begin)
        remembered += _best_seen(areas, segment.stop, min(count, segment.stop + _REMEMBERED_WITHIN))
        for own in _interleaved(segment, _OWN_FRAMES):
            yield sorted([*own, *remembered]), frozenset(own)


def _interleaved(frames: range, most: int) -> list[list[int]]:
    every = -(-len(frames) // most)
    return [list(frames[phase::every]) for phase in range(every)]


def _best_seen(areas: NDArray[np.int64], first: int, end: int) -> list[int]:
    return [first + int(areas[first:end].argmax())] if end > first else []


def drawn_frames(
    clip: Clip,
    scene: ObjectScene,
    answers: Answers,
    on_frame: Callable[[int], None],
) -> Iterator[tuple[int, Drawn]]:
    """Every frame's drawing, chunk by chunk, so not in the order of time.

    `on_frame` is called with the number of frames read so far for every frame that is read.
    """
    height, width = clip.height, clip.width
    read = 0
    for frames, own in chunks(len(clip), scene.visible.areas):
        looks = []
        for look in _looks(clip, scene, frames):
            looks.append(look)
            read += 1
            on_frame(read)
        told = answers.answer(chunk_channels(looks))
        for frame, answer in zip(frames, told, strict=True):
            if frame in own:
                yield frame, _drawn(answer, scene.windows[frame], height, width)


def _looks(clip: Clip, scene: ObjectScene, frames: Sequence[int]) -> Iterator[Look]:
    """What the network is shown of these frames."""
    working = to_working(clip.height, clip.width)
    back = np.linalg.inv(working)
    camera, reached = np.eye(3), frames[0]  # the background since the chunk's first frame
    for frame in frames:
        while reached < frame:
            camera = scene.camera[reached] @ camera
            camera, reached = camera / camera[2, 2], reached + 1
        picture = working_picture(clip.frame(frame), scene.visible[frame])
        yield Look(
            picture,
            scene.windows[frame].through(working),
            working @ camera @ back,
            frame,
            float(scene.confidence[frame]),
            frame in scene.whole,
        )


def _drawn(answer: Answer, window: Window, height: int, width: int) -> Drawn:
    to_frame = window.to_frame(WINDOW)
    cell = float(np.sqrt(to_frame[0, 0] * to_frame[1, 1]))
    around = Box(
        int(np.floor(window.y - window.half_height)),
        int(np.floor(window.x - window.half_width)),
        int(np.ceil(window.y + window.half_height)) + 1,
        int(np.ceil(window.x + window.half_width)) + 1,
    )
    box = around.clipped(height, width)
    beyond = _box_beyond(answer.amodal[0] > 0, to_frame)
    if box is None:
        nothing = np.zeros((0, 0), np.float32)
        return Drawn(
            None,
            (nothing,) * len(answer.amodal),
            nothing,
            beyond,
            answer.occluded,
            answer.quality,
            cell,
        )
    moved = to_frame.copy()
    moved[:2, 2] -= (box.x0, box.y0)
    layers = tuple(
        np.asarray(
            cv2.warpPerspective(
                np.ascontiguousarray(layer),
                moved,
                (box.width, box.height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=-10.0,
            ),
            np.float32,
        )
        for layer in (*answer.amodal, answer.front)
    )
    return Drawn(box, layers[:-1], layers[-1], beyond, answer.occluded, answer.quality, cell)


def _box_beyond(mask: Mask, to_frame: Transform) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    x0, x1 = to_frame[0, 0] * np.array([columns[0] - 0.5, columns[-1] + 0.5]) + to_frame[0, 2] + 0.5
    y0, y1 = to_frame[1, 1] * np.array([rows[0] - 0.5, rows[-1] + 0.5]) + to_frame[1, 2] + 0.5
    x0, y0 = round(float(x0)), round(float(y0))
    return Box(y0, x0, max(round(float(y1)), y0 + 1), max(round(float(x1)), x0 + 1))


def with_known(visible: MaskStack, amodal: Mapping[int, Mask]) -> MaskStack:
    """The visible masks, with the whole object where it is known."""
    return visible.replaced({frame: amodal[frame] | visible[frame] for frame in amodal})
