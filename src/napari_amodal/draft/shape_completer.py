"""The draft completer: hidden parts from the object's own shapes before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from napari_amodal.clip import Clip
from napari_amodal.draft.motion import ClipMotion, measure_motion
from napari_amodal.draft.shape_memory import hidden_part
from napari_amodal.draft.shapes import slack_of
from napari_amodal.draft.trajectory import JoinedShape, Scene, joined
from napari_amodal.levels import OcclusionLevel
from napari_amodal.masks import Mask, MaskStack, iou
from napari_amodal.progress import FrameMask, Watch
from napari_amodal.stages import Hypothesis, Occlusion, Query, VisibleTrack

#: Shapes from before and from after that agree less than this are offered besides their blend.
_AGREE = 0.8


@dataclass(frozen=True)
class ShapeSettings:
    """Settings of the draft completer."""

    detail: int = field(
        default=160,
        metadata={
            "label": "shape detail",
            "help": "Cells along each side of the grid that the object's shape is kept on",
            "min": 64,
            "max": 320,
            "step": 16,
        },
    )


class ShapeCompleter:
    """Draws what is hidden between what was last seen of it and what is next seen."""

    settings_type: ClassVar[type] = ShapeSettings
    title: ClassVar[str] = "Completing hidden parts"
    seconds_per_frame: ClassVar[float] = 0.025

    def __init__(self, settings: ShapeSettings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def complete(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        occlusions: Mapping[int, Occlusion],
        watch: Watch,
    ) -> Mapping[int, tuple[Hypothesis, ...]]:
        """The blend of both directions in time first; each alone after it where they differ."""
        steps = len(clip) * (1 + 2 * len(queries))
        visible = {object_id: tracks[object_id].masks for object_id in queries}
        motion = measure_motion(clip, visible, watch, (0, steps))
        found = {}
        for number, (object_id, query) in enumerate(queries.items()):
            scene = _scene(query, tracks[object_id], occlusions[object_id], motion, object_id)
            drawing = _Drawing(scene, occlusions[object_id])
            begun = len(clip) * (1 + 2 * number)
            shapes = joined(scene, self._settings.detail, watch, (begun, steps))
            for frame, shape in enumerate(shapes):
                mask = FrameMask("amodal", object_id, frame, drawing.add(frame, shape))
                watch.step(begun + len(clip) + frame + 1, steps, mask)
            found[object_id] = drawing.hypotheses()
        return found


def _scene(
    query: Query, track: VisibleTrack, occlusion: Occlusion, motion: ClipMotion, object_id: int
) -> Scene:
    return Scene(
        track.masks,
        occlusion.hiders,
        MaskStack.empty(*track.masks.shape),
        track.confidence,
        query.amodal,
        motion.camera,
        motion.objects[object_id],
    )


class _Drawing:
    """The amodal masks drawn so far: the blend, and from before and from after alone."""

    def __init__(self, scene: Scene, occlusion: Occlusion) -> None:
        self._scene = scene
        self._occlusion = occlusion
        self._masks: tuple[list[MaskStack], ...] = ([], [], [])
        self._agreement: list[float] = []

    def add(self, frame: int, shape: JoinedShape) -> Mask:
        """Draw one frame; returns the blend's mask."""
        drawn = [self._drawn(frame, shape)] * 3
        known = shape.before is not None and shape.after is not None
        if known and not self._is_settled(frame) and self._hides(frame):
            drawn[1] = self._drawn(frame, JoinedShape(shape.before, None))
            drawn[2] = self._drawn(frame, JoinedShape(None, shape.after))
            seen = self._scene.visible[frame]
            if (drawn[0] & ~seen).any():
                self._agreement.append(iou(drawn[1] & ~seen, drawn[2] & ~seen))
        _, height, width = self._scene.visible.shape
        for stacks, mask in zip(self._masks, drawn, strict=True):
            stacks.append(MaskStack((mask,), height, width))
        return drawn[0]

    def _is_settled(self, frame: int) -> bool:
        """Whether the amodal mask is known: drawn by hand, or nothing is hidden."""
        level = self._occlusion.frames[frame].level
        return frame in self._scene.whole or level is OcclusionLevel.NO_OCCLUSION

    def _hides(self, frame: int) -> bool:
        return self._occlusion.hiders.boxes[frame] is not None

    def _drawn(self, frame: int, shape: JoinedShape) -> Mask:
        if frame in self._scene.whole:
            return self._scene.whole[frame]
        amodal = self._scene.visible[frame]
        region = self._occlusion.hiders.boxes[frame]
        box = self._occlusion.boxes[frame]
        if self._is_settled(frame) or region is None or box is None:
            return amodal
        if self._scene.visible.boxes[frame] is None:
            # nothing of it is seen: the reasoner alone says where it is
            shape = shape.within(box)
        seen = amodal[region.slices]
        missing = shape.mask(region) & self._occlusion.hiders[frame][region.slices] & ~seen
        size = float(np.sqrt(max(shape.area, 1.0)))
        slack = slack_of(float(self._scene.confidence[frame]))
        none = np.zeros_like(missing)
        amodal[region.slices] = seen | hidden_part(missing, none, size * slack)
        return amodal

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        _, height, width = self._scene.visible.shape
        stacks = [
            MaskStack((stack[0] for stack in stacks), height, width) for stacks in self._masks
        ]
        agreement = float(np.mean(self._agreement)) if self._agreement else 1.0
        blend = Hypothesis(stacks[0], (1 + agreement) / 2)
        if agreement >= _AGREE:
            return (blend,)
        return (blend, *(Hypothesis(stack, agreement / 2) for stack in stacks[1:]))
