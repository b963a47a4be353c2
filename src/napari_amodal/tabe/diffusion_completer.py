"""The completer of the TABE engine: video diffusion, fitted to the clip, outpaints the object.

The stage itself imports no network; what it needs of torch is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from napari_amodal.clip import Clip
from napari_amodal.progress import Watch
from napari_amodal.readiness import missing_packages
from napari_amodal.stages import (
    Hypothesis,
    NeededWeight,
    Occlusion,
    Query,
    VisibleTrack,
)
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.named_device import check_named
from napari_amodal.tabe.triton_loading import load_triton

STABLE_DIFFUSION = "stable-diffusion-inpainting"
COCOCO = "cococo"


@dataclass(frozen=True)
class DiffusionSettings:
    """Settings of the completer; the defaults are the published ones (reference page, 7 and 8)."""

    hypotheses: int = field(
        default=5,
        metadata={
            "label": "Hypotheses",
            "help": "How many videos are generated; each gives amodal masks of its own.",
            "min": 1,
            "max": 20,
            "step": 1,
        },
    )
    fit_steps: int = field(
        default=500,
        metadata={
            "label": "Fitting steps",
            "help": "Steps that fit the model to the clip. A fit is kept for the next run.",
            "min": 0,
            "max": 2000,
            "step": 50,
        },
    )
    sampling_steps: int = field(
        default=50,
        metadata={
            "label": "Sampling steps",
            "help": "Steps from noise to video.",
            "min": 1,
            "max": 200,
            "step": 5,
        },
    )
    solver: Literal["ddim", "dpm"] = field(
        default="ddim",
        metadata={
            "label": "Solver",
            "help": "ddim is the published one; dpm needs fewer steps for the same error.",
        },
    )
    guidance: float = field(
        default=20.0,
        metadata={
            "label": "Guidance",
            "help": "How strongly the fitted prompt steers the video.",
            "min": 1.0,
            "max": 30.0,
            "step": 0.5,
        },
    )
    seed: int = field(
        default=42,
        metadata={"label": "Seed", "help": "The same seed gives the same masks.", "min": 0},
    )
    memory: Literal["auto", "low", "normal"] = field(
        default="auto",
        metadata={
            "label": "Memory",
            "help": "low needs half the memory and more time; auto goes by the card.",
        },
    )
    readout: Literal["sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large"] = field(
        default="sam2.1-large",
        metadata={
            "label": "Read-out network",
            "help": "Which of SAM 2.1's networks finds the object in the generated videos.",
        },
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = field(
        default="auto",
        metadata={"label": "device", "help": "Where the network runs"},
    )
    size: int = field(
        default=512,
        metadata={
            "label": "Picture size",
            "help": "Pixels a side of the generated videos. The network was trained on 512; less "
            "needs less time and memory.",
            "min": 128,
            "max": 768,
            "step": 64,
        },
    )


class DiffusionCompleter:
    """Generates the whole object in every frame and reads its mask off the video."""

    settings_type: ClassVar[type] = DiffusionSettings
    title: ClassVar[str] = "Generating hidden parts"

    def __init__(self, settings: DiffusionSettings) -> None:
        self.settings = settings

    @property
    def seconds_per_frame(self) -> float:
        """See `napari_amodal.stages.Stage`; by an H100's pace, which SAM 2's 5 s is 0.05 s of."""
        settings = self.settings
        sampling = settings.hypotheses * settings.sampling_steps * 0.25
        return 100 * (settings.fit_steps * 0.15 + sampling) / 30

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return missing_packages("torch", "diffusers", "transformers")

    def check_device(self, watch: Watch) -> None:
        """See `napari_amodal.stages.NeedsDevice`."""
        check_named(self.settings.device, watch.check)

    def weights(self, clip: Clip | None = None) -> tuple[NeededWeight, ...]:
        """See `napari_amodal.stages.ReadsWeights`."""
        names = (STABLE_DIFFUSION, COCOCO, self.settings.readout)
        return tuple(NeededWeight(name) for name in names)

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        occlusions: Mapping[int, Occlusion],
        watch: Watch,
    ) -> Mapping[int, tuple[Hypothesis, ...]]:
        """See `napari_amodal.stages.Completer`."""
        complete_object = interruptible(_loaded, watch.check)
        return {
            object_id: complete_object(
                clip,
                object_id,
                query,
                tracks[object_id],
                occlusions[object_id],
                self.settings,
                watch,
            )
            for object_id, query in queries.items()
        }


def _loaded() -> Callable[..., tuple[Hypothesis, ...]]:
    """The work itself; importing what it needs takes seconds."""
    load_triton()
    from napari_amodal.tabe.completion import complete_object

    return complete_object
