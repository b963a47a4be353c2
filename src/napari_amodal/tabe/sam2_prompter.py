"""Masks from clicks by SAM 2, where one of its networks is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from napari_amodal.clip import Frame
from napari_amodal.masks import Mask
from napari_amodal.readiness import missing_packages
from napari_amodal.stages import Clicks
from napari_amodal.tabe.triton_loading import load_triton
from napari_amodal.weights import require
from napari_amodal.weights.store import holding

if TYPE_CHECKING:
    from napari_amodal.tabe.sam2_network import Sam2Network

#: The first of these that is here is taken: a person waits for each mask, a card is fast with all.
_ON_CPU = ("tiny", "small", "base-plus", "large")


class Sam2Prompter:
    """SAM 2 on one frame (`napari_amodal.stages.Prompter`); loaded with the first click."""

    title: ClassVar[str] = "SAM 2"
    rank: ClassVar[int] = 10

    def __init__(self) -> None:
        self._network: Sam2Network | None = None

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        lacking = missing_packages("torch", "transformers")
        if not lacking and not _held():
            return ("no network of SAM 2 is here: napari-amodal weights fetch sam2.1-tiny",)
        return lacking

    def mask(self, frame: Frame, clicks: Clicks, begin: Mask | None = None) -> Mask:
        """See `napari_amodal.stages.Prompter`; `begin` is not needed."""
        if self._network is None:
            self._network = self._loaded()
        return self._network.clicked(frame, clicks)

    def _loaded(self) -> Sam2Network:
        load_triton()
        from napari_amodal.tabe.device import choose_device
        from napari_amodal.tabe.sam2_network import Sam2Network

        device = choose_device("auto")
        held = _held()
        name = held[-1] if device.type == "cuda" else held[0]
        return Sam2Network(require(name), device)


def _held() -> list[str]:
    """The networks that are here, the fastest first."""
    names = (f"sam2.1-{size}" for size in _ON_CPU)
    return [name for name in names if holding(name).path is not None]
