"""The result layers of one frame stack, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from napari.components import LayerList
from napari.layers import Image, Labels, Layer

from napari_amodal.clip import Clip
from napari_amodal.engine import Completion
from napari_amodal.export import Annotation, Origin, annotation_of
from napari_amodal.levels import FrameOcclusion, occlusion_of
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Query
from napari_amodal.widgets.layer_clip import LayerGrid, grid_of, stack_fault
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole, origin_of
from napari_amodal.widgets.mask_patch import MaskPatch
from napari_amodal.widgets.result_layer import ResultLayer

Check = Callable[[], None]

#: Trackers are unsure from here down: of the draft's masks below it every other one has an IoU
#: under 0.5, of those above it one in twelve (30 composed clips).
LOW_CONFIDENCE = 0.7

#: Bottom to top.
ROLES = (LayerRole.AMODAL, LayerRole.VISIBLE)


@dataclass(frozen=True)
class Edits:
    """The frames that the annotator corrected, by object."""

    visible: Mapping[int, frozenset[int]] = field(default_factory=dict)
    amodal: Mapping[int, frozenset[int]] = field(default_factory=dict)

    @property
    def frames(self) -> frozenset[int]:
        return frozenset().union(*self.visible.values(), *self.amodal.values())


class Results:
    """The layers *visible* and *amodal* of each object of a clip.

    An object has layers of its own, because whole objects overlap where one hides the other.
    """

    def __init__(self, stack: Image, clip: Clip) -> None:
        self.stack = stack
        self.clip = clip
        self.grid: LayerGrid = grid_of(stack)
        #: The run that filled the layers; None while none has come to its end.
        self.completion: Completion | None = None
        self._layers: dict[tuple[LayerRole, int], ResultLayer] = {}

    @property
    def is_from_run(self) -> bool:
        """Whether runs may write to the layers; not to what a folder gave."""
        return not any(result.is_given for result in self.layers)

    def fits(self, stack: Image) -> bool:
        """Whether a stack has as many frames of the same size as the results."""
        return self.grid.shape == grid_of(stack).shape

    @property
    def is_complete(self) -> bool:
        """Whether the masks come from one run to its end, or from a folder."""
        return all(
            result.origin is not None and result.origin.annotation is not None
            for result in self.layers
        )

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(sorted({object_id for _, object_id in self._layers}))

    @property
    def layers(self) -> tuple[ResultLayer, ...]:
        return tuple(self._layers.values())

    def get(self, role: LayerRole, object_id: int) -> ResultLayer | None:
        return self._layers.get((role, object_id))

    def holds(self, layer: Layer) -> bool:
        return any(result.layer is layer for result in self.layers)

    def adopt(self, layer: Labels, origin: LayerOrigin) -> None:
        """Take a layer that a folder gave; corrections count from what it gave."""
        assert origin.object_id is not None
        self._layers[origin.role, origin.object_id] = ResultLayer.given(layer, origin)

    def make_missing(self, object_ids: tuple[int, ...]) -> ResultLayer | None:
        """Make the next layer that one of the objects lacks; None where none does."""
        several = len({*object_ids, *self.object_ids}) > 1
        for object_id in object_ids:
            for role in ROLES:
                if (role, object_id) not in self._layers:
                    name = f"{role} {object_id}" if several else str(role)
                    made = ResultLayer.make(role, object_id, name, self.grid, self.clip)
                    self._layers[role, object_id] = made
                    return made
        return None

    def edits(self, check: Check) -> Edits:
        """Look through all layers for corrections; slow, for a worker thread."""
        found: dict[LayerRole, dict[int, frozenset[int]]] = {role: {} for role in ROLES}
        for (role, object_id), result in self._layers.items():
            frames = result.edited_frames(check)
            if frames:
                found[role][object_id] = frozenset(frames)
        return Edits(found[LayerRole.VISIBLE], found[LayerRole.AMODAL])

    def keep(self, edits: Edits) -> None:
        """Take corrected frames as the annotator's for good."""
        for key, frames in _by_layer(edits):
            self._layers[key].keep(set(frames))

    def release(self, edits: Edits) -> None:
        """Let the next run write over corrected frames."""
        for key, frames in _by_layer(edits):
            self._layers[key].release(set(frames))

    def is_edited(self, frame: int) -> bool:
        return any(result.is_edited(frame) for result in self.layers)

    def with_edits(self, queries: Mapping[int, Query], edits: Edits) -> dict[int, Query]:
        """Queries that also hold the corrected masks, so that a run goes by them."""
        return {
            object_id: Query(
                {
                    **self._masks(LayerRole.VISIBLE, object_id, edits.visible),
                    **query.visible,
                },
                self._masks(LayerRole.AMODAL, object_id, edits.amodal),
            )
            for object_id, query in queries.items()
        }

    def _masks(
        self, role: LayerRole, object_id: int, edits: Mapping[int, frozenset[int]]
    ) -> dict[int, Mask]:
        result = self.get(role, object_id)
        if result is None:
            return {}
        return {frame: result.mask(frame) for frame in sorted(edits.get(object_id, ()))}

    def patches(self, completion: Completion) -> Iterator[tuple[ResultLayer, int, MaskPatch]]:
        """All that a run found, layer by layer and frame by frame."""
        for object_id, found in completion.objects.items():
            masks = {LayerRole.VISIBLE: found.track.masks, LayerRole.AMODAL: found.amodal}
            for role in ROLES:
                for frame in range(len(masks[role])):
                    patch = MaskPatch.from_stack(masks[role], frame)
                    yield self._layers[role, object_id], frame, patch

    def finish(self, completion: Completion) -> None:
        """Note in the layers which run filled them."""
        self.completion = completion
        for (role, object_id), result in self._layers.items():
            if object_id in completion.objects:
                annotation = annotation_of(completion, object_id)
                result.note_origin(LayerOrigin(role, self.clip, object_id, annotation, completion))

    def occlusion(self, object_id: int, frame: int) -> FrameOcclusion | None:
        """Level and amount of a frame from the masks as they are now; None before both came."""
        visible = self.get(LayerRole.VISIBLE, object_id)
        amodal = self.get(LayerRole.AMODAL, object_id)
        if visible is None or amodal is None or not (visible.has(frame) and amodal.has(frame)):
            return None
        _, height, width = self.grid.shape
        origin = amodal.origin
        leaving = origin.annotation.leaving if origin and origin.annotation else frozenset()
        seen = MaskStack([visible.mask(frame)], height, width)
        whole = MaskStack([amodal.mask(frame)], height, width)
        return occlusion_of(seen, whole, frozenset({0} if frame in leaving else ()))[0]

    def doubtful_frames(self, object_id: int) -> frozenset[int]:
        """Frames on which the tracker was unsure (`LOW_CONFIDENCE`), corrected since or not."""
        visible = self.get(LayerRole.VISIBLE, object_id)
        origin = visible.origin if visible is not None else None
        if origin is None or origin.annotation is None:
            return frozenset()
        low = origin.annotation.confidence < LOW_CONFIDENCE
        return frozenset(int(frame) for frame in np.flatnonzero(low))

    def is_doubtful(self, object_id: int, frame: int) -> bool:
        """Whether the tracker was unsure of a frame that nobody has corrected."""
        visible = self.get(LayerRole.VISIBLE, object_id)
        if visible is None or frame not in self.doubtful_frames(object_id):
            return False
        return visible.fits and not visible.is_edited(frame)

    def annotations(self, check: Check) -> dict[int, Annotation]:
        """The masks as they are now, by object, with what was corrected; for a worker thread."""
        edits = self.edits(check)
        found = {}
        for object_id in self.object_ids:
            visible = self._layers[LayerRole.VISIBLE, object_id]
            amodal = self._layers[LayerRole.AMODAL, object_id]
            origin = visible.origin
            if origin is None or origin.annotation is None:
                continue
            current = origin.annotation.edited(visible.stack(check), amodal.stack(check))
            found[object_id] = replace(
                current,
                visible_origin=_marked(current.visible_origin, edits.visible.get(object_id)),
                amodal_origin=_marked(current.amodal_origin, edits.amodal.get(object_id)),
            )
        return found


def _by_layer(edits: Edits) -> Iterator[tuple[tuple[LayerRole, int], frozenset[int]]]:
    for role, by_object in ((LayerRole.VISIBLE, edits.visible), (LayerRole.AMODAL, edits.amodal)):
        for object_id, frames in by_object.items():
            yield (role, object_id), frames


def _marked(origins: tuple[Origin, ...], edited: frozenset[int] | None) -> tuple[Origin, ...]:
    if not edited:
        return origins
    return tuple(
        Origin.EDITED if frame in edited else origin for frame, origin in enumerate(origins)
    )


def given_results(stack: Image, layers: LayerList) -> Results | None:
    """The masks that were opened from one folder with a frame stack, for correction and export.

    None where there are none, and for a stack that no run can use.
    """
    origin = origin_of(stack.metadata)
    if origin is None or stack_fault(stack):
        return None
    results = Results(stack, origin.clip)
    for layer in layers:
        given = origin_of(layer.metadata)
        if isinstance(layer, Labels) and given and given.clip is origin.clip and given.annotation:
            results.adopt(layer, given)
    return results if len(results.layers) == len(ROLES) else None
