"""The photographs that the sample clip is composed from, and cut-outs of them.

They lie in scikit-image's wheel (``skimage/data``); nothing is downloaded, and none is part of this
package. scikit-image's documentation of `skimage.data` gives their sources:

- ``coffee.png``: a cup of coffee, courtesy of Pikolo Espresso Bar; CC0 by the photographer, Rachel
  Michetti.
- ``astronaut.png``: Eileen Collins; NASA, public domain, no known copyright restrictions.
- ``brick.png`` and ``grass.png``: CC0Textures; CC0.

The outlines were traced by hand for this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: The astronaut, helmet included, in pixels ``x, y`` of the photograph, from the top of her hair
#: anticlockwise. The photograph ends at the bottom, and so does she.
_ASTRONAUT = (
    "230,15 213,20 193,29 174,43 163,51 156,58 153,68 155,95 160,107 168,118 176,131 182,133 "
    "185,148 165,148 148,153 136,162 127,174 122,181 116,186 114,194 115,203 90,227 76,235 62,250 "
    "55,262 46,278 40,294 39,306 33,322 29,336 26,344 26,366 20,390 20,418 24,432 23,460 26,484 "
    "30,495 36,501 42,512 500,512 500,480 494,460 492,421 485,400 477,384 454,361 436,352 416,345 "
    "393,345 376,347 366,349 361,332 357,310 352,290 347,277 340,262 325,248 306,238 302,225 "
    "296,211 285,197 270,186 256,178 257,165 264,148 271,136 277,130 289,117 293,111 299,93 298,72 "
    "295,58 287,44 275,32 248,18"
)
#: The end of the spoon's handle, which reaches beyond the saucer.
_SPOON = "397,73 402,68 412,66 421,70 424,76 420,97 416,112 407,113"
#: Saucer and rim of the cup as ellipses: centre, axes, turn in degrees.
_SAUCER = ((278.3, 224.4), (329.0, 398.0), 93.6)
_RIM = ((290.4, 113.7), (190.5, 235.0), 96.4)
#: Outlines are drawn at this many times the size, for a smooth edge.
_FINER = 4


@dataclass(frozen=True)
class Cutout:
    """Something cut out of a photograph.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(H, W, 4)``: red, green and blue multiplied by alpha, and alpha.
    anchor : tuple of float
        The point ``x, y`` that it is placed and turned by.
    """

    pixels: Pixels
    anchor: tuple[float, float]


def photograph(name: str) -> Pixels:
    """A photograph from scikit-image's wheel, uint8 ``(H, W, 3)``, RGB."""
    with as_file(files("skimage") / "data" / name) as path:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"scikit-image is installed without its photograph {name}")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def tinted(picture: Pixels, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Pixels:
    """A grey photograph in colour: its darkest 2 % `dark`, its lightest `light`, RGB."""
    grey = picture[..., 0].astype(np.float32)
    low, high = np.percentile(grey, (2, 98))
    share = np.clip((grey - low) / (high - low), 0, 1)[..., None]
    return np.asarray(share * light + (1 - share) * dark, np.uint8)


def cup(scale: float) -> Cutout:
    """The cup on its saucer, about 400 pixels wide at scale 1, placed by its middle."""
    picture = photograph("coffee.png")
    canvas = _canvas(picture)
    for ellipse in (_SAUCER, _RIM):
        (x, y), axes, turn = ellipse
        finer = ((x * _FINER, y * _FINER), (axes[0] * _FINER, axes[1] * _FINER), turn)
        cv2.ellipse(canvas, finer, 255, -1)
    cv2.fillPoly(canvas, [_points(_SPOON)], 255)
    return _cut(picture, canvas, scale, anchor=(279.0, 204.0))


def astronaut(scale: float) -> Cutout:
    """The astronaut, 470 pixels wide at scale 1, placed by the middle of her lower edge."""
    picture = photograph("astronaut.png")
    canvas = _canvas(picture)
    cv2.fillPoly(canvas, [_points(_ASTRONAUT)], 255)
    return _cut(picture, canvas, scale, anchor=(258.0, 512.0))


def _canvas(picture: Pixels) -> Pixels:
    return np.zeros((picture.shape[0] * _FINER, picture.shape[1] * _FINER), np.uint8)


def _points(outline: str) -> NDArray[np.int32]:
    points = [[float(number) for number in point.split(",")] for point in outline.split()]
    return np.asarray(np.array(points) * _FINER, np.int32)


def _cut(picture: Pixels, canvas: Pixels, scale: float, anchor: tuple[float, float]) -> Cutout:
    """Cut `picture` where `canvas` is set: a pixel inside the outline, with a soft edge.

    The edge is drawn in a little, so that no rim of the old background comes along.
    """
    inner = cv2.erode(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    alpha = cv2.resize(inner, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.8)
    share = alpha[..., None].astype(np.float32) / 255
    pixels = np.dstack([picture * share, alpha.astype(np.float32)])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    placed = (anchor[0] * size[0] / picture.shape[1], anchor[1] * size[1] / picture.shape[0])
    return Cutout(np.asarray(np.rint(small), np.uint8), placed)
