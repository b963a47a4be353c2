"""Pictures of single frames: what was predicted over what is true."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

from napari_amodal.clip import Frame
from napari_amodal.errors import InputError
from napari_amodal.evaluation.clip_scores import HypothesisScores
from napari_amodal.formats.published import read_prediction
from napari_amodal.formats.tabe51 import is_tabe51, read_tabe51
from napari_amodal.masks import Mask

_WIDTH = 420
_QUALITY = 80
_OPACITY = 0.5

#: RGB; the page's legend has the same colours.
RIGHT = (60, 190, 120)
MISSED = (255, 196, 0)
TOO_MUCH = (235, 60, 90)
_TRUE_EDGE = (255, 255, 255)
_SEEN_EDGE = (40, 150, 255)


def picture(truth: Path, hypothesis: HypothesisScores, frame: int) -> str:
    """One frame with what is right, missed and too much, as a ``data:`` address of a JPEG.

    Raises
    ------
    InputError
        A file is gone since it was scored.
    """
    read = read_tabe51(truth)
    predicted = _predicted(hypothesis, frame)
    true, seen = read.amodal[frame], read.visible[frame]
    drawn = _drawn(read.clip.frame(frame), predicted, true, seen)
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _predicted(hypothesis: HypothesisScores, frame: int) -> Mask:
    folder = hypothesis.masks
    if not hypothesis.name:
        masks = read_tabe51(folder.parent).amodal
    elif is_tabe51(folder.parents[1]):
        masks = read_tabe51(folder.parents[1]).hypotheses.get(hypothesis.name, {})
    else:
        return read_prediction(folder)[frame]
    if frame not in masks:
        raise InputError(f"{folder} has lost the mask of frame {frame} since it was scored")
    return masks[frame]


def _drawn(picture: Frame, predicted: Mask, true: Mask, seen: Mask) -> Frame:
    laid = picture.astype(np.float32)
    for mask, color in (
        (predicted & true, RIGHT),
        (true & ~predicted, MISSED),
        (predicted & ~true, TOO_MUCH),
    ):
        laid[mask] = (1 - _OPACITY) * laid[mask] + _OPACITY * np.array(color, np.float32)
    height = max(1, round(_WIDTH * picture.shape[0] / picture.shape[1]))
    small = cv2.resize(laid, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    drawn = np.rint(small).astype(np.uint8)
    for mask, edge in ((seen, _SEEN_EDGE), (true, _TRUE_EDGE)):
        shrunk = cv2.resize(mask.astype(np.uint8), (_WIDTH, height), interpolation=cv2.INTER_AREA)
        outlines, _ = cv2.findContours(shrunk, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, edge, 1, cv2.LINE_AA)
    return drawn
