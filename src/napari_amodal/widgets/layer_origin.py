"""What a layer is to us, kept in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_amodal.clip import Clip
    from napari_amodal.engine import Completion
    from napari_amodal.export import Annotation

#: Where a layer's metadata holds its `LayerOrigin`.
ORIGIN_KEY = "napari_amodal"


class LayerRole(StrEnum):
    """What a layer holds."""

    FRAMES = "frames"
    QUERY = "query"
    VISIBLE = "visible"
    AMODAL = "amodal"


@dataclass(frozen=True)
class LayerOrigin:
    """Where a layer came from.

    Attributes
    ----------
    role : LayerRole
    clip : Clip
        The clip that the layer shows or belongs to.
    object_id : int or None
        Whose mask the layer holds: every pixel that is not 0. None: one object a label value.
    annotation : Annotation or None
        The masks as a run or a folder gave them, before the annotator's corrections.
    completion : Completion or None
        The run that gave them.
    query_frame : int or None
        The frame on which a query was painted when it was opened.
    is_followed : bool
        The layer was made to show the annotation of the window, which runs write to.
    session : pathlib.Path or None
        The session's folder that frames were opened from.
    """

    role: LayerRole
    clip: Clip
    object_id: int | None = None
    annotation: Annotation | None = None
    completion: Completion | None = None
    query_frame: int | None = None
    is_followed: bool = False
    session: Path | None = None

    @property
    def is_from_run(self) -> bool:
        """Whether a run fills the layer; a folder gives an annotation without one."""
        is_given = self.annotation is not None and self.completion is None
        is_mask = self.role in (LayerRole.VISIBLE, LayerRole.AMODAL)
        return is_mask and (self.is_followed or not is_given)

    def as_metadata(self) -> dict[str, LayerOrigin]:
        return {ORIGIN_KEY: self}

    def __repr__(self) -> str:
        """Short: napari shows metadata to people."""
        source = f" of {self.clip.source}" if self.clip.source else ""
        return f"{self.role} of clip {self.clip.name!r}{source}"


def origin_of(metadata: Mapping[str, Any]) -> LayerOrigin | None:
    """What we noted about a layer, or None where it is not ours."""
    origin = metadata.get(ORIGIN_KEY)
    return origin if isinstance(origin, LayerOrigin) else None
