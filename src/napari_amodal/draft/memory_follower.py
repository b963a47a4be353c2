"""Following one object from frame to frame with the memory network, in one direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Frame
from napari_amodal.draft.memory_crop import Crop
from napari_amodal.draft.memory_network import STEP, Memory, Network, Reading, cell_places
from napari_amodal.masks import Mask

Float = NDArray[np.float32]

#: A crop's side in lengths of the object, and at the least this share of what the network sees.
ROOM, LEAST_SIDE = 1.5, 0.5
#: A lost object's crop grows so much a frame, up to so many times what the object needs. Every
#: other frame is looked at whole; for that the query is remembered in a crop so many times as wide.
WIDENING, WIDEST, WIDE = 1.1, 1.4, 2.0
#: A mask is empty if the object is less likely in sight than this.
IN_SIGHT = 0.35
#: A frame is remembered if its mask is expected to be so good, and the last is so many frames ago.
REMEMBER_QUALITY, REMEMBER_EVERY = 0.75, 4
#: An object found in a crop this much wider than it needs is looked at again, closely.
TOO_WIDE = 1.5
#: Of many queries, the first and the latest are remembered, so many in all.
QUERIES = 3
#: An object is back only if it leads back to the query: so much of what then matches there is its.
WAY_BACK = 0.5
#: Share of the object's length that the newest frame's tells, growing and shrinking.
GROW, SHRINK = 0.5, 0.04
#: Share of its speed that the newest frame tells, and that an unseen object keeps.
QUICK, COASTING = 0.5, 0.9


@dataclass(frozen=True)
class Sight:
    """What is seen of the object on a frame: its mask ``(H, W)`` and a confidence, 0..1."""

    mask: Mask
    confidence: float


class Follower:
    """One object, followed frame by frame from a frame on which its mask is known.

    Parameters
    ----------
    network : Network
    seen : int
        Side of the crops that the network gets, in pixels.
    memory : int
        Frames to remember besides the queries and the last.
    """

    def __init__(self, network: Network, seen: int, memory: int) -> None:
        self._network = network
        self._seen = max(STEP, seen // STEP * STEP)
        self._memory = memory
        self._places = cell_places(self._seen)
        self._given: list[Memory] = []
        self._given_wide: list[Memory] = []
        self._origin: tuple[dict[str, Float], Float]
        self._kept: list[Memory] = []
        self._last: tuple[Crop, Memory] | None = None
        self._centre = (0.0, 0.0)
        self._speed = np.zeros(2)
        self._length = 0.0
        self._side = 0.0
        self._ago = 0
        self.lost_for = 0

    def start(self, frame: Frame, mask: Mask) -> None:
        """Take a mask ``(H, W)`` for true; an empty one says that the object is not in sight."""
        box = box_of(mask)
        if box is None:
            self.lost_for = max(1, self.lost_for)
            return
        self._centre, self._length = box.center, float(max(box.height, box.width))
        self._speed[:] = 0
        self._side = self._wanted_side()
        self.lost_for = 0
        for memories, times in ((self._given_wide, WIDE), (self._given, 1.0)):
            crop = Crop.around(self._centre, times * self._side, self._seen)
            features, shown = self._network.encode(crop.picture(frame)), crop.shrink(mask)
            if len(memories) == QUERIES:
                del memories[1]
            memories.append(self._network.memorize(features, shown))
        self._origin = features, shown
        self._last = crop, self._given[-1]
        self._ago = 0

    def step(self, frame: Frame) -> Sight:
        """Find the object on the next frame."""
        height, width = frame.shape[:2]
        if self._last is None:
            return Sight(np.zeros((height, width), np.bool_), 0.0)
        crop = self._next_crop(height, width)
        features, reading = self._look(frame, crop)
        box = self._box(crop, reading)
        if box is not None and crop.side > TOO_WIDE * self._wanted_side(box):
            closer = Crop.around(box.center, self._wanted_side(box), self._seen)
            again = self._look(frame, closer)
            if self._box(closer, again[1]) is not None:
                crop, (features, reading) = closer, again
                box = self._box(crop, reading)
        if box is not None and self.lost_for and not self._leads_back(features, reading):
            box = None
        mask = np.zeros((height, width), np.bool_)
        if box is not None:
            mask = crop.enlarge(reading.chance, height, width) > 0.5
            box = box_of(mask)
        self._remember(crop, features, reading, box)
        self._follow(box)
        return Sight(mask, reading.quality if box is not None else 1 - reading.sight)

    def _next_crop(self, height: int, width: int) -> Crop:
        y, x = np.clip(np.add(self._centre, self._speed), 0, (height, width))
        self._centre = float(y), float(x)
        if self.lost_for and self.lost_for % 2 == 0:
            return Crop.around((height / 2, width / 2), max(height, width), self._seen)
        return Crop.around(self._centre, self._side, self._seen)

    def _look(self, frame: Frame, crop: Crop) -> tuple[dict[str, Float], Reading]:
        assert self._last is not None
        features = self._network.encode(crop.picture(frame))
        last_crop, last = self._last
        places = last_crop.places_in(crop, self._places)
        # An object looks most like itself at the same size.
        given = self._given_wide if self._is_wide(crop) else self._given
        return features, self._network.read(features, [*given, *self._kept], last, places)

    def _is_wide(self, crop: Crop) -> bool:
        return crop.side > TOO_WIDE * self._wanted_side()

    def _leads_back(self, features: dict[str, Float], reading: Reading) -> bool:
        """Whether what was found, taken for a query, finds the object on the query frame."""
        origin, shown = self._origin
        found = self._network.memorize(features, _doubled(reading.chance))
        weights = reading.chance / reading.chance.sum()
        middles = (np.arange(len(weights)) + 0.5) * 2 / len(weights) - 1
        centre = np.array([weights.sum(1) @ middles, weights.sum(0) @ middles], np.float32)
        back = self._network.read(origin, [found], found, self._places - centre).chance > 0.5
        return bool(np.mean(shown[::2, ::2][back] > 0.5) > WAY_BACK) if back.any() else False

    def _box(self, crop: Crop, reading: Reading) -> Box | None:
        """The box of the object in the frame, None where it is not in sight."""
        found = box_of(reading.chance > 0.5)
        if found is None or reading.sight < IN_SIGHT:
            return None
        zoom = crop.side / reading.chance.shape[0]
        y0, x0 = crop.y + int(found.y0 * zoom), crop.x + int(found.x0 * zoom)
        return Box(
            y0,
            x0,
            max(y0 + 1, crop.y + round(found.y1 * zoom)),
            max(x0 + 1, crop.x + round(found.x1 * zoom)),
        )

    def _wanted_side(self, box: Box | None = None) -> float:
        length = self._length if box is None else max(self._length, box.height, box.width)
        return max(ROOM * length, LEAST_SIDE * self._seen)

    def _remember(
        self, crop: Crop, features: dict[str, Float], reading: Reading, box: Box | None
    ) -> None:
        chance = reading.chance if box is not None else np.zeros_like(reading.chance)
        memory = self._network.memorize(features, _doubled(chance))
        self._last = crop, memory
        self._ago += 1
        good = box is not None and reading.quality > REMEMBER_QUALITY
        if self._memory and good and self._ago >= REMEMBER_EVERY:
            self._kept = [*self._kept, memory][-self._memory :]
            self._ago = 0

    def _follow(self, box: Box | None) -> None:
        """Where the object is expected next, and how large the crop is to be."""
        if box is None:
            self.lost_for += 1
            self._speed *= COASTING
            self._side = min(self._side * WIDENING, WIDEST * self._wanted_side())
            return
        length = float(max(box.height, box.width))
        rate = GROW if length > self._length else SHRINK
        self._length += rate * (length - self._length)
        moved = np.subtract(box.center, self._centre) + self._speed
        if self.lost_for:
            self._speed[:] = 0
        else:
            self._speed += QUICK * (np.clip(moved, -length / 2, length / 2) - self._speed)
        self._centre = box.center
        self._side = self._wanted_side()
        self.lost_for = 0


def _doubled(chance: Float) -> Float:
    """A chance ``(S / 2, S / 2)`` on all the network's pixels."""
    return np.repeat(np.repeat(chance, 2, axis=0), 2, axis=1)
