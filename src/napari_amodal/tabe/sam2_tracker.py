"""The tracker `sam2`: visible masks by SAM 2 (reference page, section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.errors import CallError
from napari_amodal.masks import MaskStack
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.readiness import missing_packages
from napari_amodal.stages import NeededWeight, Query, VisibleTrack
from napari_amodal.weights import require


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

    def weights(self, clip: Clip | None = None) -> tuple[NeededWeight, ...]:
        """See `napari_amodal.stages.ReadsWeights`."""
        return () if self._settings.weights else (NeededWeight(self._named),)

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
            The weights cannot be read.
        """
        weights = self._weights()
        watch.check()
        from napari_amodal.tabe.device import choose_device
        from napari_amodal.tabe.sam2_network import Sam2Network

        settings = self._settings
        network = Sam2Network(weights, choose_device(settings.device), settings.remembered)
        shape = (len(clip), clip.height, clip.width)
        masks = {object_id: MaskStack.empty(*shape) for object_id in queries}
        confidence = {object_id: np.zeros(len(clip), np.float32) for object_id in queries}
        total = len(clip) * len(queries)
        for done, found in enumerate(network.track(clip, queries, watch.check), 1):
            object_id, frame = found.object_id, found.frame
            masks[object_id] = masks[object_id].replaced({frame: found.mask})
            confidence[object_id][frame] = found.confidence
            watch.step(done, total, FrameMask("visible", object_id, frame, found.mask))
        return {
            object_id: VisibleTrack(masks[object_id], confidence[object_id])
            for object_id in queries
        }

    def _weights(self) -> Path:
        if not self._settings.weights:
            return require(self._named)
        own = Path(self._settings.weights).expanduser()
        if not own.exists():
            raise CallError(f"the weights of SAM 2 are not there: {own}")
        return own
