"""The completer's network, seconded by what the windows showed of the object at other times.

The network knows shapes, the memory (`AlignedMemory`) knows this object; each is right where the
other is not. Chosen on 30 composed clips, none of which is of the benchmark (``training/README.md``
tells what each part brings).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_amodal.draft.aligned_memory import AlignedMemory, plain_background
from napari_amodal.draft.completer_network import Answer, Float
from napari_amodal.draft.completion import Answers
from napari_amodal.masks import Mask

#: How much the memory's logits count beside the network's first hypothesis.
_SECONDED = 0.2
#: The network draws rather too much, as its training weighs hidden pixels: so much off its logits.
_TOO_MUCH = 0.3
#: Chance from which some of the object is held for hidden where the memory agrees, and where not.
_BOTH, _ALONE = 0.35, 0.7
#: Of an object out of sight the memory is asked if the network draws less than this share of it.
_DARES = 0.5
#: The most that a logit may be where plain background is seen.
_NOT_THERE = np.float32(-1.0)


class SecondedNetwork:
    """Answers as the network does, corrected by the memory.

    Parameters
    ----------
    network : Answers
    """

    def __init__(self, network: Answers) -> None:
        self._network = network
        self._memory = AlignedMemory()

    def answer(self, channels: Mapping[str, Float]) -> list[Answer]:
        """The answers for a chunk's channels (`window_views.chunk_channels`), frame by frame."""
        first, second = self._network.answer(channels), self._memory.answer(channels)
        seen = channels["fine"][:, 3].max(axis=(1, 2)) > 0.5
        plain = plain_background(channels)
        return [
            _joined(one, other, bool(seen[frame]), plain[frame])
            for frame, (one, other) in enumerate(zip(first, second, strict=True))
        ]


def _joined(network: Answer, memory: Answer, is_seen: bool, plain: Mask) -> Answer:
    amodal = network.amodal.copy()
    amodal[0] += np.float32(_SECONDED) * memory.amodal[0] - np.float32(_TOO_MUCH)
    least = _BOTH if memory.occluded > 0.5 else _ALONE
    is_hidden = network.occluded > least
    if not is_seen:
        # long out of sight, the network no longer dares to draw it
        is_hidden = True
        drawn, remembered = (amodal[0] > 0).sum(), (memory.amodal[0] > 0).sum()
        amodal[0] = memory.amodal[0] if drawn < _DARES * remembered else amodal[0]
    amodal = np.where(plain, np.minimum(amodal, _NOT_THERE), amodal)
    front = np.where(plain, np.minimum(network.front, _NOT_THERE), network.front)
    return Answer(amodal, front, float(is_hidden), network.quality)
