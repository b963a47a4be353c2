"""Pictures of a completed clip: masks laid over frames, a video of them, a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_amodal.clip import Clip, Frame
from napari_amodal.export import Annotation
from napari_amodal.masks import Mask, MaskStack

Color = tuple[int, int, int]

_VISIBLE: Color = (40, 190, 255)
_HIDDEN: Color = (255, 214, 0)
_TRUTH: Color = (255, 255, 255)
_OPACITY = 0.55
_BAR = 30
_MARGIN = 4
_BAR_COLOR = (24, 24, 28)
_TEXT_COLOR = (235, 235, 235)
_SHEET_COLUMNS = 4
_SHEET_ROWS = 4
_SHEET_TILE_WIDTH = 480


@dataclass(frozen=True)
class Completed:
    """What the pictures are of: a clip, what was found in it, and what is true."""

    clip: Clip
    found: Annotation
    truth: MaskStack


def side_by_side(shown: Completed) -> Iterator[Frame]:
    """For each frame: the frame, its visible mask and its amodal mask, captioned, in a row."""
    titles = ("frame", "visible mask", "amodal: visible blue, hidden yellow, true outline white")
    for index, frame in enumerate(shown.clip):
        visible = shown.found.visible[index]
        panels = (frame, _laid(frame, visible, _VISIBLE), _amodal_panel(shown, index, frame))
        captions = (f"{titles[0]} {index}, {_hidden_share(shown, index)}", *titles[1:])
        yield np.hstack([_captioned(*pair) for pair in zip(panels, captions, strict=True)])


def contact_sheet(shown: Completed) -> Frame:
    """Frames spread evenly over the clip with their amodal masks, in a grid."""
    wanted = min(len(shown.clip), _SHEET_COLUMNS * _SHEET_ROWS)
    indices = np.linspace(0, len(shown.clip) - 1, wanted).round().astype(int).tolist()
    tiles = [_sheet_tile(shown, index) for index in indices]
    blank = np.broadcast_to(np.array(_BAR_COLOR, np.uint8), tiles[0].shape)
    tiles += [blank] * (-len(tiles) % _SHEET_COLUMNS)
    rows = [tiles[at : at + _SHEET_COLUMNS] for at in range(0, len(tiles), _SHEET_COLUMNS)]
    return np.vstack([np.hstack(row) for row in rows])


def write_picture(path: Path, picture: Frame) -> None:
    Image.fromarray(picture).save(path)


def write_video(path: Path, frames: Iterator[Frame], fps: float) -> None:
    """Write frames of one size, uint8 ``(H, W, 3)`` RGB, as H.264, or MPEG-4 where there is none.

    Both codecs halve the colours' size, so that an odd last row or column is left out.
    """
    codec = "libx264" if "libx264" in av.codec.codecs_available else "mpeg4"
    first = next(frames)
    height, width = (side // 2 * 2 for side in first.shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.options = {"crf": "20"} if codec == "libx264" else {"qscale": "3"}
        for frame in chain([first], frames):
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode(None))


def _amodal_panel(shown: Completed, index: int, frame: Frame) -> Frame:
    """The visible part in one colour, the hidden part in another, the truth as an outline."""
    visible, amodal = shown.found.visible[index], shown.found.amodal[index]
    panel = _laid(_laid(frame, visible, _VISIBLE), amodal & ~visible, _HIDDEN)
    outlines, _ = cv2.findContours(
        shown.truth[index].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return np.asarray(cv2.drawContours(panel, outlines, -1, _TRUTH, 2, cv2.LINE_AA), np.uint8)


def _laid(frame: Frame, mask: Mask, color: Color) -> Frame:
    """A translucent mask over a frame, as a new array."""
    shown = frame.copy()
    shown[mask] = np.rint((1 - _OPACITY) * frame[mask] + _OPACITY * np.array(color))
    return shown


def _sheet_tile(shown: Completed, index: int) -> Frame:
    panel = _amodal_panel(shown, index, shown.clip.frame(index))
    height = round(_SHEET_TILE_WIDTH * shown.clip.height / shown.clip.width)
    small = cv2.resize(panel, (_SHEET_TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
    caption = f"frame {index}, {_hidden_share(shown, index)}"
    return _captioned(np.asarray(small, np.uint8), caption)


def _hidden_share(shown: Completed, index: int) -> str:
    amount = shown.found.occlusion[index].amount
    return "out of the frame" if amount is None else f"{amount:.0%} hidden"


def _captioned(panel: Frame, caption: str) -> Frame:
    """A panel under its caption, with a margin that parts it from its neighbours."""
    height, width = panel.shape[:2]
    tile = Image.new("RGB", (width + _MARGIN, _BAR + height + _MARGIN), _BAR_COLOR)
    font = ImageFont.load_default(size=16)
    place = (10, _BAR // 2)
    ImageDraw.Draw(tile).text(place, caption, _TEXT_COLOR, font=font, anchor="lm")
    tile.paste(Image.fromarray(panel), (_MARGIN // 2, _BAR))
    return np.asarray(tile)
