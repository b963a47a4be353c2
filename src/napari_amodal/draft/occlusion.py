"""The draft occlusion reasoner: what hides an object, told from outlines, colours and motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import cv2
import numpy as np

from napari_amodal.boxes import Box, box_of
from napari_amodal.clip import Clip
from napari_amodal.draft.hiders import find_surroundings
from napari_amodal.draft.leaving import frames_leaving
from napari_amodal.draft.motion import ClipMotion, measure_motion
from napari_amodal.draft.regions import search_regions
from napari_amodal.draft.shape_memory import hidden_part
from napari_amodal.draft.shapes import slack_of
from napari_amodal.draft.standing import standing_occluders, without_places_passed
from napari_amodal.draft.trajectory import JoinedShape, Scene, joined
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.progress import Watch
from napari_amodal.stages import Occlusion, Query, VisibleTrack

#: An object that is less than this visible when it is first seen was hidden before, not absent.
_EMERGING_SHARE = 0.7
#: Frames that tell it: the very first often shows a sliver that says little.
_FIRST_SEEN = 3
#: How far beyond a hidden part a thing at rest is taken to hide the object, as a share of its size.
_STILL_MARGIN = 0.1
#: Margin around the amodal box within which hiders are told, as a share of the box's longer side.
_HIDERS_MARGIN = 0.15


#: Steps of the progress for each frame and object: surroundings, and twice there and back.
_STEPS_AN_OBJECT = 5


@dataclass(frozen=True)
class OutlineSettings:
    """Settings of the draft occlusion reasoner."""

    tolerance: float = field(
        default=20.0,
        metadata={
            "label": "colour tolerance",
            "help": "How far the colours of one surface may differ between frames; more for noise "
            "and changing light",
            "min": 4.0,
            "max": 64.0,
            "step": 1.0,
        },
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


class OutlineReasoner:
    """Finds plainly visible background, carries the object's shape through the rest."""

    settings_type: ClassVar[type] = OutlineSettings
    title: ClassVar[str] = "Finding what hides it"
    seconds_per_frame: ClassVar[float] = 0.045

    def __init__(self, settings: OutlineSettings) -> None:
        self._settings = settings

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()

    def reason(
        self,
        clip: Clip,
        queries: Mapping[int, Query],
        tracks: Mapping[int, VisibleTrack],
        watch: Watch,
    ) -> Mapping[int, Occlusion]:
        """Level, amodal box and hiders of each object; reads the frames twice, and once more an
        object."""
        steps = len(clip) * (1 + _STEPS_AN_OBJECT * len(queries))
        visible = {object_id: tracks[object_id].masks for object_id in queries}
        motion = measure_motion(clip, visible, watch, (0, steps))
        found = {}
        for number, (object_id, query) in enumerate(queries.items()):
            begun = len(clip) * (1 + _STEPS_AN_OBJECT * number)
            found[object_id] = self._reason_one(
                clip, query, tracks[object_id], motion, object_id, watch, (begun, steps)
            )
        return found

    def _reason_one(
        self,
        clip: Clip,
        query: Query,
        track: VisibleTrack,
        motion: ClipMotion,
        object_id: int,
        watch: Watch,
        steps: tuple[int, int],
    ) -> Occlusion:
        clear = clear_frames(query)
        regions = search_regions(track.masks.boxes, motion.camera)
        regions = tuple(None if frame in clear else region for frame, region in enumerate(regions))
        around = find_surroundings(
            clip, track.masks, motion.camera, regions, self._settings.tolerance, watch, steps
        )
        scene = Scene(
            track.masks,
            around.moving,
            without_places_passed(around.still, track.masks, motion.camera),
            track.confidence,
            query.amodal,
            motion.camera,
            motion.objects[object_id],
        )
        begun = steps[0] + len(clip)
        told = self._told(scene, clear, watch, (begun, steps[1]))
        if any(box is not None for box in told.behind_still.boxes):
            standing = standing_occluders(
                told.behind_still, scene.visible, scene.still, scene.camera
            )
            hiders = (scene.hiders[frame] | standing[frame] for frame in range(len(clip)))
            scene = replace(scene, hiders=MaskStack(hiders, clip.height, clip.width))
            told = self._told(scene, clear, watch, (begun + 2 * len(clip), steps[1]))
        watch.step(steps[0] + _STEPS_AN_OBJECT * len(clip), steps[1])
        return told.occlusion()

    def _told(
        self, scene: Scene, clear: frozenset[int], watch: Watch, steps: tuple[int, int]
    ) -> _Told:
        told = _Told(scene, clear)
        count = len(scene.visible)
        for frame, shape in enumerate(joined(scene, self._settings.detail, watch, steps)):
            told.add(frame, shape)
            watch.step(steps[0] + count + frame + 1, steps[1])
        return told


def clear_frames(query: Query) -> frozenset[int]:
    """Frames on which the annotator painted the object fully visible.

    One is asked for. Where there are several, later ones may correct masks of occluded frames: only
    the largest is then taken as fully visible. A frame with an amodal mask says for itself.
    """
    areas = {
        frame: int(mask.sum())
        for frame, mask in query.visible.items()
        if mask.any() and frame not in query.amodal
    }
    return frozenset([max(areas, key=lambda frame: areas[frame])]) if areas else frozenset()


class _Told:
    """What is told of the frames so far."""

    def __init__(self, scene: Scene, clear: frozenset[int]) -> None:
        self._scene = scene
        self._clear = clear
        self._leaving = frames_leaving(scene.visible)
        self._amounts: list[float | None] = []
        self._boxes: list[Box | None] = []
        self._hiders: list[MaskStack] = []
        self._behind_still: list[MaskStack] = []

    def add(self, frame: int, shape: JoinedShape) -> None:
        _, height, width = self._scene.visible.shape
        visible = self._scene.visible[frame]
        whole = shape.box
        seen = box_of(visible)
        if whole is None or seen is not None:
            whole = seen if whole is None or seen is None else whole.union(seen)
        region = whole.padded(_margin(whole)).clipped(height, width) if whole else None
        hiders = np.zeros((height, width), np.bool_)
        hidden = np.zeros((height, width), np.bool_)
        behind_still = np.zeros((height, width), np.bool_)
        if region is not None and frame not in self._clear:
            inside = region.slices
            hidden[inside], behind_still[inside] = self._hidden_within(
                frame, shape, visible, region
            )
            hiders[inside] = self._scene.hiders[frame][inside]
            hiders |= hidden | behind_still
        if frame in self._scene.whole:
            hidden = self._scene.whole[frame] & ~visible
            hiders = hidden
        self._amounts.append(_amount(visible, hidden))
        self._boxes.append(_tight(box_of(visible | hidden), whole, height, width))
        self._hiders.append(MaskStack((hiders,), height, width))
        self._behind_still.append(MaskStack((behind_still,), height, width))

    @property
    def behind_still(self) -> MaskStack:
        """Where things at rest were found to hide the object, with some margin."""
        _, height, width = self._scene.visible.shape
        return MaskStack((stack[0] for stack in self._behind_still), height, width)

    def _hidden_within(
        self, frame: int, shape: JoinedShape, visible: Mask, region: Box
    ) -> tuple[Mask, Mask]:
        """The hidden part within a region, and the things at rest that hide some of it."""
        moving = self._scene.hiders[frame][region.slices]
        still = self._scene.still[frame][region.slices]
        whole = shape.mask(region)
        missing = whole & ~visible[region.slices]
        size = float(np.sqrt(np.count_nonzero(whole | visible[region.slices])))
        slack = slack_of(float(self._scene.confidence[frame]))
        hidden = hidden_part(missing & moving, missing & still, size * slack)
        behind_still = hidden & still
        if behind_still.any():
            reach = cv2.distanceTransform((~behind_still).view(np.uint8), cv2.DIST_L2, 5)
            behind_still = still & (reach <= _STILL_MARGIN * size)
        return hidden, behind_still

    def occlusion(self) -> Occlusion:
        count, height, width = self._scene.visible.shape
        gone = self._gone()
        frames, boxes = [], []
        for frame in range(count):
            amount = self._amounts[frame]
            if frame in gone or amount is None:
                frames.append(FrameOcclusion(OcclusionLevel.NONE, None))
            elif frame in self._clear:
                frames.append(FrameOcclusion(OcclusionLevel.NO_OCCLUSION, 0.0))
            else:
                frames.append(FrameOcclusion(level_of(amount), amount))
            absent = frame in gone and self._scene.visible.boxes[frame] is None
            boxes.append(None if absent else self._boxes[frame])
        hiders = MaskStack((stack[0] for stack in self._hiders), height, width)
        return Occlusion(tuple(frames), tuple(boxes), hiders)

    def _gone(self) -> frozenset[int]:
        """Frames of level `NONE`: TABE's rule, except that an object which first appears from
        behind something was there before."""
        seen = [frame for frame, box in enumerate(self._scene.visible.boxes) if box is not None]
        if not seen or seen[0] in self._leaving:
            return self._leaving
        amount = max(self._amounts[frame] or 0.0 for frame in seen[:_FIRST_SEEN])
        return self._leaving - (
            frozenset(range(seen[0])) if 1 - amount < _EMERGING_SHARE else frozenset()
        )


def _margin(box: Box) -> int:
    return round(_HIDERS_MARGIN * max(box.height, box.width))


def _amount(visible: Mask, hidden: Mask) -> float | None:
    """The hidden share; None where there is nothing of the object in the frame."""
    seen, unseen = int(visible.sum()), int(hidden.sum())
    return unseen / (seen + unseen) if seen + unseen else None


def _tight(inside: Box | None, whole: Box | None, height: int, width: int) -> Box | None:
    """The box of the amodal mask, carried on beyond the border by the whole shape's."""
    if inside is None or whole is None:
        return inside
    return Box(
        min(inside.y0, whole.y0) if inside.y0 <= 0 else inside.y0,
        min(inside.x0, whole.x0) if inside.x0 <= 0 else inside.x0,
        max(inside.y1, whole.y1) if inside.y1 >= height else inside.y1,
        max(inside.x1, whole.x1) if inside.x1 >= width else inside.x1,
    )
