"""What a running job has found so far, laid over a state that goes on changing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from napari_amodal.annotation.clip_annotation import ClipAnnotation, new_object, with_object
from napari_amodal.annotation.object_annotation import ObjectAnnotation, with_origin
from napari_amodal.export import Origin
from napari_amodal.masks import PackedMask

Kind = Literal["visible", "amodal"]


class Provisional:
    """Masks that have come from a job, by object and frame; the last one of a frame counts.

    Frames that the annotator has locked, or changed since the job began, stay the annotator's.

    Parameters
    ----------
    begin : ClipAnnotation
        The state when the job began.
    """

    def __init__(self, begin: ClipAnnotation) -> None:
        self._begin = begin
        self._found: dict[int, dict[Kind, dict[int, PackedMask]]] = {}

    def add(self, kind: Kind, object_id: int, frame: int, mask: PackedMask) -> None:
        """Take one mask."""
        kinds = self._found.setdefault(object_id, {"visible": {}, "amodal": {}})
        kinds[kind][frame] = mask

    @property
    def frames(self) -> frozenset[int]:
        """Frames for which a mask has come."""
        return frozenset().union(
            *(kind.keys() for kinds in self._found.values() for kind in kinds.values())
        )

    def onto(self, state: ClipAnnotation) -> ClipAnnotation:
        """A state with what was found laid over it; an object that was deleted stays so."""
        for object_id, kinds in self._found.items():
            if object_id not in state.objects and object_id in self._begin.objects:
                continue
            now = state.objects.get(object_id) or new_object(object_id, state.shape)
            state = with_object(state, object_id, self._over(object_id, now, kinds))
        return state

    def _over(
        self,
        object_id: int,
        now: ObjectAnnotation,
        kinds: Mapping[Kind, Mapping[int, PackedMask]],
    ) -> ObjectAnnotation:
        free = {
            kind: {
                frame: mask
                for frame, mask in found.items()
                if frame not in now.locked and self._is_untouched(object_id, now, frame)
            }
            for kind, found in kinds.items()
        }
        return replace(
            now,
            visible=now.visible.with_packed(free["visible"]),
            amodal=now.amodal.with_packed(free["amodal"]),
            visible_origin=with_origin(now.visible_origin, free["visible"], Origin.TRACKED),
            amodal_origin=with_origin(now.amodal_origin, free["amodal"], Origin.COMPLETED),
        )

    def _is_untouched(self, object_id: int, now: ObjectAnnotation, frame: int) -> bool:
        before = self._begin.objects.get(object_id)
        if before is None or before is now:
            return True
        same_visible = now.visible.same_frame(before.visible, frame)
        return same_visible and now.amodal.same_frame(before.amodal, frame)
