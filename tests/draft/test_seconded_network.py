"""What the memory changes of the network's answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from napari_amodal.draft.completer_network import Answer, Float
from napari_amodal.draft.seconded_network import SecondedNetwork

COUNT = 4


class Network:
    """Draws the same everywhere, and holds it for hidden by the same chance."""

    def __init__(self, logit: float, occluded: float) -> None:
        self._logit, self._occluded = logit, occluded

    def answer(self, channels: Mapping[str, Float]) -> list[Answer]:
        amodal = np.full((3, 128, 128), self._logit, np.float32)
        front = np.full((128, 128), self._logit, np.float32)
        return [Answer(amodal, front, self._occluded, 0.8) for _ in channels["times"]]


def channels(covered: int) -> dict[str, Float]:
    """A square object, seen whole but for the right half of frame `covered`.

    In the left quarter of the window all frames see the same background.
    """
    fine = np.zeros((COUNT, 11, 128, 128), np.float32)
    fine[:, 3, 40:88, 40:88] = 1
    fine[covered, 3, :, 64:] = 0
    coarse = np.zeros((COUNT, 8, 64, 64), np.float32)
    coarse[:, [0, 2], :, :16] = 1
    return {"fine": fine, "coarse": coarse, "times": np.arange(COUNT, dtype=np.float32)}


def test_nothing_is_drawn_over_plain_background_whatever_the_network_says() -> None:
    for answer in SecondedNetwork(Network(9.0, 1.0)).answer(channels(2)):
        assert (answer.amodal[:, :, :30] < 0).all()
        assert (answer.front[:, :30] < 0).all()
        assert (answer.amodal[:, :, 40:] > 0).all()


def test_where_the_network_is_undecided_the_memory_decides() -> None:
    answer = SecondedNetwork(Network(0.3, 1.0)).answer(channels(2))[2]
    drawn = answer.amodal[0] > 0
    assert drawn[44:84, 68:84].all()
    assert not drawn[:36].any()


@pytest.mark.parametrize(("chance", "hidden"), [(0.1, []), (0.5, [2]), (0.9, [0, 1, 2, 3])])
def test_an_undecided_level_goes_by_the_memory(chance: float, hidden: list[int]) -> None:
    answers = SecondedNetwork(Network(0.0, chance)).answer(channels(2))
    assert [index for index, answer in enumerate(answers) if answer.occluded > 0.5] == hidden
