"""The tracker `sam2`: visible masks by SAM 2 (reference page, section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.errors import CallError
from napari_amodal.masks import MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.readiness import missing_packages
from napari_amodal.stages import NeededWeight, Query, VisibleTrack
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.named_device import check_named
from napari_amodal.tabe.triton_loading import load_triton
from napari_amodal.weights import require

if TYPE_CHECKING:
    from napari_amodal.tabe.sam2_network import Sam2Network, TrackedMask


@dataclass(frozen=True)
class Sam2Settings:
    """Settings of the SAM 2 tracker."""

    size: Literal["tiny", "small", "base-plus", "large"] = field(
        default="large",
        metadata={
            "label": "network",
            "help": "Which of SAM 2.1's networks; the larger ones are better and slower",
        },
    )
    weights: str = field(
        default="",
        metadata={
            "label": "own weights",
            "help": "A folder in transformers' layout, or an original checkpoint (.pt), to use "
            "instead",
        },
    )
    remembered: int = field(
        default=16,
        metadata={
            "label": "remembered queries",
            "help": "How many query frames the network looks back to, those nearest in time; each "
            "costs time and memory",
            "min": 1,
            "max": 64,
            "step": 1,
        },
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = field(
        default="auto",
        metadata={"label": "device", "help": "Where the network runs"},
    )


class Sam2Tracker:
    """Follows objects with SAM 2, from masks, points and boxes on any frames."""

    settings_type: ClassVar[type] = Sam2Settings
    title: ClassVar[str] = "Tracking"
    takes_clicks: ClassVar[bool] = True
    seconds_per_frame: ClassVar[float] = 5.0

    def __init__(self, settings: Sam2Settings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return missing_packages("torch", "transformers")

    def check_device(self, watch: Watch) -> None:
        """See `napari_amodal.stages.NeedsDevice`."""
        check_named(self._settings.device, watch.check)

    def weights(self, clip: Clip | None = None) -> tuple[NeededWeight, ...]:
        """See `napari_amodal.stages.ReadsWeights`."""
        if self._settings.weights:
            self._weights()
            return ()
        return (NeededWeight(self._named),)

    @property
    def _named(self) -> str:
        return f"sam2.1-{self._settings.size}"

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        """Find the visible masks of the queried objects on every frame.

        Raises
        ------
        CallError
            The weights or the device are not here.
        InputError
            The weights cannot be read, or the device has too little memory.
        """
        network = interruptible(self._network, watch.check)
        from napari_amodal.tabe.card_memory import shortage_told

        with shortage_told("tracking with SAM 2", network.device):
            return _tracks(network.track(clip, queries, watch.check), clip, queries, watch)

    def _network(self) -> Sam2Network:
        weights = self._weights()
        load_triton()
        from napari_amodal.tabe.card_memory import shortage_told
        from napari_amodal.tabe.device import choose_device
        from napari_amodal.tabe.sam2_network import Sam2Network

        device = choose_device(self._settings.device)
        with shortage_told("tracking with SAM 2", device):
            return Sam2Network(weights, device, self._settings.remembered)

    def _weights(self) -> Path:
        if not self._settings.weights:
            return require(self._named)
        own = Path(self._settings.weights).expanduser()
        if not own.exists():
            raise CallError(f"the weights of SAM 2 are not there: {own}")
        return own


def _tracks(
    found: Iterator[TrackedMask], clip: Clip, queries: Mapping[int, Query], watch: Watch
) -> dict[int, VisibleTrack]:
    """The masks as they are found, gathered by object and reported."""
    shape = (len(clip), clip.height, clip.width)
    masks = {object_id: MaskStack.empty(*shape) for object_id in queries}
    confidence = {object_id: np.zeros(len(clip), np.float32) for object_id in queries}
    total = len(clip) * len(queries)
    for done, one in enumerate(found, 1):
        masks[one.object_id] = masks[one.object_id].replaced({one.frame: one.mask})
        confidence[one.object_id][one.frame] = one.confidence
        ready = FrameMask("visible", one.object_id, one.frame, one.mask)
        watch.step(done, total, ready)
    return {i: VisibleTrack(masks[i], confidence[i]) for i in queries}
