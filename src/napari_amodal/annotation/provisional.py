"""What a running job has found so far, laid over a state that goes on changing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from napari_amodal.annotation.clip_annotation import ClipAnnotation, new_object, with_object
from napari_amodal.annotation.object_annotation import ObjectAnnotation, with_origin
from napari_amodal.export import Origin
from napari_amodal.masks import PackedMask

_Found = dict[int, dict[str, dict[int, PackedMask]]]


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
        self._found: _Found = {}
        self._new: _Found = {}

    def add(self, kind: str, object_id: int, frame: int, mask: PackedMask) -> None:
        """Take one mask."""
        for found in (self._found, self._new):
            found.setdefault(object_id, {"visible": {}, "amodal": {}})[kind][frame] = mask

    @property
    def frames(self) -> frozenset[int]:
        """Frames for which a mask has come."""
        return frozenset().union(
            *(kind.keys() for kinds in self._found.values() for kind in kinds.values())
        )

    def onto(self, state: ClipAnnotation) -> ClipAnnotation:
        """A state with all that was found laid over it; an object that was deleted stays so."""
        self._new = {}
        return self._laid(self._found, state, state)

    def news_onto(self, shown: ClipAnnotation, state: ClipAnnotation) -> ClipAnnotation:
        """``onto(state)``, where `shown` is what it gave before: only what came since is laid."""
        new, self._new = self._new, {}
        return self._laid(new, shown, state)

    def _laid(self, found: _Found, shown: ClipAnnotation, state: ClipAnnotation) -> ClipAnnotation:
        for object_id, kinds in found.items():
            if object_id not in state.objects and object_id in self._begin.objects:
                continue
            now = shown.objects.get(object_id) or new_object(object_id, state.shape)
            own = state.objects.get(object_id, now)
            shown = with_object(shown, object_id, self._over(object_id, now, own, kinds))
        return shown

    def _over(
        self,
        object_id: int,
        now: ObjectAnnotation,
        own: ObjectAnnotation,
        kinds: Mapping[str, Mapping[int, PackedMask]],
    ) -> ObjectAnnotation:
        """`now` with masks on frames that the annotator has left alone in `own`."""
        free = {
            kind: {
                frame: mask
                for frame, mask in found.items()
                if frame not in own.locked and self._is_untouched(object_id, own, frame)
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

    def _is_untouched(self, object_id: int, own: ObjectAnnotation, frame: int) -> bool:
        before = self._begin.objects.get(object_id)
        if before is None or before is own:
            return True
        same_visible = own.visible.same_frame(before.visible, frame)
        return same_visible and own.amodal.same_frame(before.amodal, frame)
