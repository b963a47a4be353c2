"""A window of a frame as superpixels: small patches that keep to the picture's edges.

They come from watersheds that start on a grid, moved to where the picture is flattest (Neubert and
Protzel, Compact Watershed and Preemptive SLIC, ICPR 2014, without the compactness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from napari_amodal.boxes import Box
from napari_amodal.clip import Frame
from napari_amodal.masks import Mask

Float = NDArray[np.float32]
Integers = NDArray[np.intp]

#: Longest and shortest working side of a window, and the distance of the grid, in pixels.
SIDE, LEAST_SIDE, STEP = 176, 128, 5
#: How much the local contrast counts beside the colours, and over what radius it is taken.
_TEXTURE, _TEXTURE_RADIUS = 0.6, 3.0
#: Lab distance that makes a step between superpixels as long as the whole window.
_FAR_COLOUR = 30.0


@dataclass(frozen=True)
class Superpixels:
    """The superpixels of a window and which of them touch.

    Attributes
    ----------
    window : Box
        In the frame, inside it.
    picture : ndarray
        uint8 ``(h, w, 3)``, Lab, the window at working size.
    labels : ndarray
        ``(h, w)``: to which superpixel each pixel belongs, from 0 on.
    areas : ndarray
        ``(N,)``, in pixels.
    looks : ndarray
        float32 ``(N, 4)``: mean Lab colour and local contrast.
    places : ndarray
        ``(N, 2)``: the middles, ``(y, x)`` in pixels of the frame.
    first, second : ndarray
        ``(E,)``: the two superpixels of each common border.
    lengths, slopes : ndarray
        ``(E,)``: a border's pixels, and the Lab gradient along it.
    """

    window: Box
    picture: NDArray[np.uint8]
    labels: Integers
    areas: NDArray[np.float64]
    looks: Float
    places: NDArray[np.float64]
    first: Integers
    second: Integers
    lengths: NDArray[np.float64]
    slopes: NDArray[np.float64]

    @classmethod
    def of(cls, frame: Frame, window: Box) -> Superpixels:
        """Cut a window of a frame, uint8 ``(H, W, 3)``, to pieces."""
        longest = max(window.height, window.width)
        scale = max(min(1.0, SIDE / longest), min(2.0, LEAST_SIDE / longest))
        size = (max(8, round(window.width * scale)), max(8, round(window.height * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(frame[window.slices], size, interpolation=way), np.uint8)
        lab = np.asarray(
            cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32
        )
        soft = np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.8), np.float32)
        slope = _slope(soft)
        picture = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.uint8)
        labels = _watersheds(picture, slope)
        areas = np.bincount(labels.ravel()).astype(np.float64)

        def means(values: NDArray[Any]) -> NDArray[np.float64]:
            return np.bincount(labels.ravel(), np.asarray(values, np.float64).ravel()) / areas

        texture = _TEXTURE * _local_contrast(lab[..., 0])
        looks = np.stack([means(channel) for channel in (*np.moveaxis(soft, 2, 0), texture)], 1)
        rows, columns = (np.asarray(place) for place in np.indices(labels.shape))
        height, width = labels.shape
        places = np.stack(
            [
                (means(rows) + 0.5) * window.height / height + window.y0,
                (means(columns) + 0.5) * window.width / width + window.x0,
            ],
            axis=1,
        )
        borders = _borders(labels, slope)
        return cls(window, picture, labels, areas, looks.astype(np.float32), places, *borders)

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def rim(self) -> Integers:
        """The superpixels at the window's border."""
        sides = self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1]
        return np.unique(np.concatenate(sides))

    def at(self, points: Sequence[tuple[float, float]]) -> Integers:
        """The superpixels under points ``(y, x)`` of the frame, those inside the window."""
        height, width = self.labels.shape
        window, found = self.window, []
        for y, x in points:
            row = int((y - window.y0 + 0.5) * height / window.height)
            column = int((x - window.x0 + 0.5) * width / window.width)
            if 0 <= row < height and 0 <= column < width:
                found.append(int(self.labels[row, column]))
        return np.unique(np.array(found, np.intp))

    def shares(self, mask: Mask) -> NDArray[np.float64]:
        """The share of each superpixel that a mask ``(H, W)`` of the frame covers, ``(N,)``."""
        height, width = self.labels.shape
        inside = mask[self.window.slices].astype(np.float32)
        small = cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA)
        return np.bincount(self.labels.ravel(), np.asarray(small).ravel()) / self.areas

    def distances(self, start: Integers) -> NDArray[np.float64]:
        """How far each is from the nearest of `start`, along ways that avoid edges, ``(N,)``."""
        jumps = np.sqrt(np.sum((self.looks[self.first] - self.looks[self.second]) ** 2, axis=1))
        costs = STEP / SIDE + np.maximum(jumps, self.slopes) / _FAR_COLOUR
        found = dijkstra(self._graph(costs), directed=False, indices=start, min_only=True)
        return np.asarray(np.minimum(found, 50.0), np.float64)

    def parts(self, chosen: NDArray[np.bool_]) -> Integers:
        """The number of the connected part of each; those that are not chosen are parts alone."""
        inside = chosen[self.first] & chosen[self.second]
        return np.asarray(connected_components(self._graph(inside.astype(float)))[1], np.intp)

    def _graph(self, weights: NDArray[np.float64]) -> csr_matrix:
        shape = (len(self), len(self))
        return csr_matrix((weights, (self.first, self.second)), shape=shape)  # type: ignore[no-untyped-call]


def _slope(lab: Float) -> Float:
    steps = [cv2.Sobel(lab, cv2.CV_32F, dx, dy, ksize=3) / 4 for dx, dy in ((1, 0), (0, 1))]
    return np.asarray(np.sqrt(sum(np.square(step).sum(axis=2) for step in steps)), np.float32)


def _local_contrast(lightness: Float) -> Float:
    mean = cv2.GaussianBlur(lightness, (0, 0), _TEXTURE_RADIUS)
    square = cv2.GaussianBlur(lightness**2, (0, 0), _TEXTURE_RADIUS)
    return np.asarray(
        np.sqrt(np.maximum(np.asarray(square) - np.asarray(mean) ** 2, 0)), np.float32
    )


def _watersheds(picture: NDArray[np.uint8], slope: Float) -> Integers:
    """Labels from 0 on, none left out."""
    height, width = slope.shape
    flat, reach = np.asarray(cv2.GaussianBlur(slope, (0, 0), 1.0)), STEP // 2
    markers = np.zeros((height, width), np.int32)
    number = 0
    for y in range(reach, height, STEP):
        for x in range(reach, width, STEP):
            number += 1
            around = flat[y - reach : y + reach + 1, x - reach : x + reach + 1]
            dy, dx = divmod(int(around.argmin()), around.shape[1])
            markers[y - reach + dy, x - reach + dx] = number
    cv2.watershed(picture, markers)
    if (markers <= 0).all():  # so small a window is border everywhere
        return np.zeros((height, width), np.intp)
    while (between := markers <= 0).any():  # the lines between them, and the picture's border
        grown = cv2.dilate(np.where(between, 0, markers).astype(np.float32), np.ones((3, 3)))
        markers = np.where(between, np.asarray(grown).astype(np.int32), markers)
    _, labels = np.unique(markers, return_inverse=True)
    return np.asarray(labels.reshape(height, width), np.intp)


def _borders(
    labels: Integers, slope: Float
) -> tuple[Integers, Integers, NDArray[np.float64], NDArray[np.float64]]:
    pairs, steps = [], []
    for here, there in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        one, other = labels[here], labels[there]
        differ = one != other
        pairs.append(np.sort(np.stack([one[differ], other[differ]]), axis=0))
        steps.append(np.maximum(slope[here], slope[there])[differ])
    both, count = np.concatenate(pairs, axis=1), int(labels.max()) + 1
    keys, inverse = np.unique(both[0] * count + both[1], return_inverse=True)
    lengths = np.bincount(inverse).astype(np.float64)
    slopes = np.bincount(inverse, np.concatenate(steps)) / lengths
    return keys // count, keys % count, lengths, slopes
