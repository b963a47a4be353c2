"""The occlusion reasoner of the TABE engine: depth says what may hide the object.

TABE's own reasoning (reference page, sections 3 and 4) compares depth across the outline and moves
the last box along. Here the depth only says what is nearer than the object; how much of it that
hides comes from the object's shape, carried through the clip in both directions as in the draft
engine (`napari_amodal.draft.trajectory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from napari_amodal.clip import Clip
from napari_amodal.draft.motion import ClipMotion, measure_motion
from napari_amodal.draft.occlusion import clear_frames
from napari_amodal.draft.regions import search_regions
from napari_amodal.draft.trajectory import Scene, joined
from napari_amodal.errors import CallError
from napari_amodal.masks import MaskStack
from napari_amodal.progress import Watch
from napari_amodal.readiness import missing_packages
from napari_amodal.stages import NeededWeight, Occlusion, Query, VisibleTrack
from napari_amodal.tabe.depth_source import DepthFolder, DepthSource
from napari_amodal.tabe.interruptible import interruptible
from napari_amodal.tabe.named_device import check_named
from napari_amodal.tabe.occlusion_hiders import find_hiders
from napari_amodal.tabe.occlusion_sides import knowing_sides
from napari_amodal.tabe.occlusion_told import Told
from napari_amodal.tabe.triton_loading import load_triton
from napari_amodal.weights import require


@dataclass(frozen=True)
class DepthSettings:
    """Settings of the depth reasoner."""

    given: bool = field(
        default=True,
        metadata={
            "label": "use given depth",
            "help": "Read the depth maps of the clip's own folder depth/, where it has one, "
            "instead of computing them",
        },
    )
    size: Literal["small", "base", "large"] = field(
        default="base",
        metadata={
            "label": "network",
            "help": "Which of Depth Anything V2's networks; the larger ones are better and slower",
        },
    )
    weights: str = field(
        default="",
        metadata={
            "label": "own weights",
            "help": "A folder in transformers' layout to use instead",
        },
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = field(
        default="auto",
        metadata={"label": "device", "help": "Where the network runs"},
    )
    detail: int = field(
        default=128,
        metadata={
            "label": "shape detail",
            "help": "Cells along each side of the grid that the object's shape is kept on",
            "min": 64,
            "max": 256,
            "step": 16,
        },
    )


class DepthReasoner:
    """Finds what is nearer than the object, and carries its shape through the frames it hides.

    Parameters
    ----------
    settings : DepthSettings
    source : DepthSource, optional
        Where depth comes from. By default the clip's own folder ``depth/`` where it has one, and
        the network where not.
    """

    settings_type: ClassVar[type] = DepthSettings
    title: ClassVar[str] = "Finding what hides it"
    seconds_per_frame: ClassVar[float] = 1.5

    def __init__(self, settings: DepthSettings, source: DepthSource | None = None) -> None:
        self._settings = settings
        self._source = source

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return missing_packages("torch", "transformers")

    def check_device(self, watch: Watch) -> None:
        """See `napari_amodal.stages.NeedsDevice`."""
        check_named(self._settings.device, watch.check)

    def weights(self, clip: Clip | None = None) -> tuple[NeededWeight, ...]:
        """See `napari_amodal.stages.ReadsWeights`: none where the depth is given."""
        settings = self._settings
        if self._source is not None:
            return ()
        if settings.weights:
            self._weights()
            return ()
        if not settings.given:
            return (NeededWeight(self._named),)
        if clip is not None and DepthFolder.of(clip) is not None:
            return ()
        return (NeededWeight(self._named, unless="the clip has a folder depth/"),)

    @property
    def _named(self) -> str:
        return f"depth-anything-v2-{self._settings.size}"

    def reason(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> Mapping[int, Occlusion]:
        """Level, amodal box and hiders of each object; reads the frames once, and their depth.

        Raises
        ------
        CallError
            The network is needed, and its weights or the device are not here.
        InputError
            The weights or the given depth maps cannot be used.
        """
        source = self._depth(clip, watch)
        steps = len(clip) * (2 + 2 * len(queries))
        visible = {object_id: tracks[object_id].masks for object_id in queries}
        motion = measure_motion(clip, visible, watch, (0, steps))
        clear = {object_id: _clear_frames(query) for object_id, query in queries.items()}
        regions = {
            object_id: tuple(
                None if frame in clear[object_id] else region
                for frame, region in enumerate(search_regions(masks.boxes, motion.camera))
            )
            for object_id, masks in visible.items()
        }
        hiders = find_hiders(source.maps(clip, watch), visible, regions, watch, (len(clip), steps))
        found = {}
        for number, (object_id, query) in enumerate(queries.items()):
            scene = _scene(query, tracks[object_id], hiders[object_id], motion, object_id)
            begun = len(clip) * (2 + 2 * number)
            found[object_id] = self._carry(scene, clear[object_id], watch, (begun, steps))
        return found

    def _depth(self, clip: Clip, watch: Watch) -> DepthSource:
        if self._source is not None:
            return self._source
        folder = DepthFolder.of(clip) if self._settings.given else None
        return folder or interruptible(self._network, watch.check)

    def _network(self) -> DepthSource:
        weights = self._weights()
        load_triton()
        from napari_amodal.tabe.depth import DepthModel, DepthNetwork
        from napari_amodal.tabe.device import choose_device

        return DepthNetwork(DepthModel(weights, choose_device(self._settings.device)))

    def _weights(self) -> Path:
        if not self._settings.weights:
            return require(self._named)
        own = Path(self._settings.weights).expanduser()
        if not own.exists():
            raise CallError(f"the weights of Depth Anything are not there: {own}")
        return own

    def _carry(
        self, scene: Scene, clear: frozenset[int], watch: Watch, steps: tuple[int, int]
    ) -> Occlusion:
        count = len(scene.visible)
        told = Told(scene, clear)
        for frame, shape in enumerate(joined(scene, self._settings.detail, watch, steps)):
            told.add(frame, knowing_sides(shape))
            watch.step(steps[0] + count + frame + 1, steps[1])
        return told.occlusion()


def _clear_frames(query: Query) -> frozenset[int]:
    """Frames in which the object is fully visible by definition, clicked ones among them."""
    return clear_frames(query) or frozenset({query.frame} - query.amodal.keys())


def _scene(
    query: Query, track: VisibleTrack, hiders: MaskStack, motion: ClipMotion, object_id: int
) -> Scene:
    return Scene(
        visible=track.masks,
        hiders=hiders,
        still=MaskStack.empty(*hiders.shape),
        confidence=track.confidence,
        whole=query.amodal,
        camera=motion.camera,
        motion=motion.objects[object_id],
    )
