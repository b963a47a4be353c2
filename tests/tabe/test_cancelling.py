"""A cancel is heard while networks load, and within a step."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")

from napari_amodal.errors import Cancelled  # noqa: E402
from napari_amodal.tabe.cancelling import asked_often  # noqa: E402
from napari_amodal.tabe.interruptible import interruptible  # noqa: E402
from napari_amodal.tabe.lora import Adaptation, Dropout  # noqa: E402
from napari_amodal.tabe.unet import CoCoCoUNet  # noqa: E402


def after(calls: int) -> Callable[[], None]:
    """A check that is told of a cancel after so many calls."""
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    return check


def test_loading_gives_what_it_gives() -> None:
    assert interruptible(lambda: 5, after(0)) == 5
    assert interruptible(lambda: time.sleep(0.5) or 6, after(100)) == 6
    for error in (OSError("no such file"), TimeoutError("the file's own")):

        def failing(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error), match=str(error)):
            interruptible(failing, after(0))


def test_a_cancel_does_not_wait_for_what_is_loading() -> None:
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        interruptible(lambda: time.sleep(4), after(0))
    assert time.monotonic() - begun < 2


def test_a_cancel_is_heard_within_a_step_both_ways() -> None:
    unet = CoCoCoUNet((32, 32), 1, 16, 2, 2)
    dropout = Dropout(0.0, torch.zeros(1, dtype=torch.long))
    adaptation = Adaptation(unet, ("to_q", "to_out.0"), 4, 8.0, dropout)
    adaptation.spread()
    noisy, masked = torch.randn(2, 1, 4, 2, 8, 8)
    given = noisy, torch.ones(1, 1, 2, 8, 8), masked, torch.tensor(300), torch.randn(1, 5, 16)
    forward, backward = [], []
    with asked_often([unet], lambda: forward.append(1)):
        loss = unet(*given).square().mean()
    assert len(forward) > 50
    with asked_often([unet], lambda: backward.append(1)):
        loss = unet(*given).square().mean()
        backward.clear()
        loss.backward()
    assert len(backward) > 20
    with asked_often([unet], after(len(forward) + 5)):
        adaptation.spread()
        loss = unet(*given).square().mean()
        with pytest.raises(Cancelled):
            loss.backward()
    unet(*given)  # nothing is left behind
