"""From the result of a run, corrected or not, to clip folders on disk."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_amodal import __version__
from napari_amodal.clip import Clip
from napari_amodal.engine import Completion
from napari_amodal.errors import CallError
from napari_amodal.formats.tabe51 import is_tabe51, write_tabe51
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, occlusion_of
from napari_amodal.masks import MaskStack

#: Version of the layout of ``napari-amodal.json``.
PROVENANCE_VERSION = 1

_VERSIONS_OF = ("numpy", "opencv-python-headless", "scikit-image", "scipy")


class Origin(StrEnum):
    """Where the mask of a frame came from."""

    QUERY = "query"
    GIVEN = "given"
    TRACKED = "tracked"
    COMPLETED = "completed"
    EDITED = "edited"


@dataclass(frozen=True)
class Annotation:
    """The masks of one object as they are to be exported.

    Attributes
    ----------
    visible, amodal : MaskStack
        ``(T, H, W)``.
    visible_origin, amodal_origin : tuple of Origin
        One a frame.
    confidence : ndarray
        float32 ``(T,)``, the tracker's.
    leaving : frozenset of int
        Frames in which the object is leaving the frame or gone from it.
    levels : mapping of int to OcclusionLevel
        Frames whose level was set by hand.
    hypotheses : tuple of MaskStack
        All that the run gave, where they are to be written and nothing was corrected since.
    """

    visible: MaskStack
    amodal: MaskStack
    visible_origin: tuple[Origin, ...]
    amodal_origin: tuple[Origin, ...]
    confidence: NDArray[np.float32]
    leaving: frozenset[int]
    levels: Mapping[int, OcclusionLevel] = field(default_factory=lambda: MappingProxyType({}))
    hypotheses: tuple[MaskStack, ...] = ()

    @property
    def occlusion(self) -> tuple[FrameOcclusion, ...]:
        """Level and amount of each frame, from the masks as they are now."""
        return occlusion_of(self.visible, self.amodal, self.leaving, self.levels)

    def edited(self, visible: MaskStack, amodal: MaskStack) -> Annotation:
        """The annotation with these masks instead; frames that differ count as edited.

        What was corrected is one truth: the run's hypotheses are left out then.
        """
        same = _same(self.visible, visible) and _same(self.amodal, amodal)
        return replace(
            self,
            visible=visible,
            amodal=amodal,
            visible_origin=_mark_edited(self.visible, visible, self.visible_origin),
            amodal_origin=_mark_edited(self.amodal, amodal, self.amodal_origin),
            hypotheses=self.hypotheses if same else (),
        )


def _same(before: MaskStack, after: MaskStack) -> bool:
    return all(before.same_frame(after, frame) for frame in range(len(before)))


def _mark_edited(
    before: MaskStack, after: MaskStack, origin: tuple[Origin, ...]
) -> tuple[Origin, ...]:
    return tuple(
        source if before.same_frame(after, frame) else Origin.EDITED
        for frame, source in enumerate(origin)
    )


def annotation_of(
    completion: Completion, object_id: int, *, every_hypothesis: bool = False
) -> Annotation:
    """One object of a run as it came out: the best hypothesis, nothing edited.

    With `every_hypothesis` all of them are exported beside it, where there are several.
    """
    found = completion.objects[object_id]
    frames = range(len(found.track.masks))
    tracked = Origin.TRACKED if completion.tracked else Origin.GIVEN
    return Annotation(
        visible=found.track.masks,
        amodal=found.amodal,
        visible_origin=tuple(Origin.QUERY if f in found.query.visible else tracked for f in frames),
        amodal_origin=tuple(
            Origin.EDITED if f in found.query.amodal else Origin.COMPLETED for f in frames
        ),
        confidence=found.track.confidence,
        leaving=frozenset(
            frame
            for frame, occlusion in enumerate(found.occlusion.frames)
            if occlusion.level is OcclusionLevel.NONE
        ),
        hypotheses=(
            tuple(one.amodal for one in found.hypotheses)
            if every_hypothesis and len(found.hypotheses) > 1
            else ()
        ),
    )


def object_folders(out: Path, name: str, object_ids: tuple[int, ...]) -> dict[int, Path]:
    """Where each object of clip `name` goes: ``NAME``, ``NAME-1``, ... as TABE-51 names them."""
    return {
        object_id: out / (f"{name}-{index}" if index else name)
        for index, object_id in enumerate(sorted(object_ids))
    }


def check_targets(folders: Mapping[int, Path], *, overwrite: bool) -> None:
    """Raise `CallError` if `export` could not write these folders; nothing is written.

    A run calls it before any work, so that an hour's result does not meet a closed door.
    """
    for folder in folders.values():
        if folder.exists() and not overwrite:
            raise CallError(
                f"{folder} is there already: choose another folder, or replace it (--overwrite)"
            )
        if folder.exists() and not (is_tabe51(folder) or _is_empty(folder)):
            raise CallError(f"{folder} is there and is no clip folder: choose another folder")
        standing = next(path for path in folder.absolute().parents if path.exists())
        if not standing.is_dir():
            raise CallError(f"{standing} is a file: choose a folder to write to")
        if not os.access(standing, os.W_OK | os.X_OK):
            raise CallError(f"{standing} cannot be written to: choose another folder")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def export(
    out: Path,
    clip: Clip,
    annotations: Mapping[int, Annotation],
    completion: Completion | None = None,
    *,
    overwrite: bool = False,
    on_frame: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Write one clip folder an object under `out`, each complete or not at all.

    Parameters
    ----------
    out : pathlib.Path
        Made if it is not there.
    clip : Clip
    annotations : mapping of int to Annotation
    completion : Completion, optional
        The run that the annotations came from.
    overwrite : bool
        Replace clip folders that are there, each once the new one is complete.
    on_frame : callable, optional
        Called with the frames written and the number of all, over all objects; what it raises
        (`Cancelled`) ends the writing.

    Raises
    ------
    CallError
        A folder is there and `overwrite` is False, or is no clip folder; nothing is written then.
    """
    folders = object_folders(out, clip.name, tuple(annotations))
    check_targets(folders, overwrite=overwrite)
    for index, (object_id, folder) in enumerate(folders.items()):
        annotation = annotations[object_id]
        write_tabe51(
            folder,
            clip,
            annotation.visible,
            annotation.amodal,
            annotation.occlusion,
            provenance(clip, object_id, annotation, completion),
            hypotheses=annotation.hypotheses,
            overwrite=overwrite,
            on_frame=_counted(on_frame, index, len(folders)),
        )
    return tuple(folders.values())


def _counted(
    on_frame: Callable[[int, int], None] | None, index: int, folders: int
) -> Callable[[int, int], None] | None:
    """`on_frame` for one of several folders, counting the frames of all."""
    if on_frame is None:
        return None
    report = on_frame
    return lambda done, total: report(index * total + done, folders * total)


def _version_of(distribution: str) -> str | None:
    """None where it was installed under another name, as OpenCV may be."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def provenance(
    clip: Clip, object_id: int, annotation: Annotation, completion: Completion | None
) -> dict[str, Any]:
    """The contents of ``napari-amodal.json``; `docs/formats.md` describes them."""
    return {
        "format": "napari-amodal",
        "format_version": PROVENANCE_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": {
            "napari-amodal": __version__,
            "python": platform.python_version(),
            **{name: _version_of(name) for name in _VERSIONS_OF},
        },
        "source": clip.source.name if clip.source else None,
        "object": object_id,
        **_run_record(completion, object_id),
        "frames": [
            {
                "visible": str(annotation.visible_origin[frame]),
                "amodal": str(annotation.amodal_origin[frame]),
                "confidence": round(float(annotation.confidence[frame]), 4),
            }
            for frame in range(len(clip))
        ],
    }


def _run_record(completion: Completion | None, object_id: int) -> dict[str, Any]:
    if completion is None or object_id not in completion.objects:
        return {"engine": None}
    found = completion.objects[object_id]
    engine = completion.engine
    seeds = [values["seed"] for values in completion.settings.values() if "seed" in values]
    return {
        "engine": {
            "name": engine.name,
            "tracker": engine.tracker if completion.tracked else None,
            "reasoner": engine.reasoner,
            "completer": engine.completer,
        },
        "settings": completion.settings,
        "seed": seeds[0] if seeds else None,
        "query_frame": found.query.frame,
        "query_frames": sorted(found.query.visible),
        "clicked_frames": sorted(found.query.clicks),
        "hypotheses": len(found.hypotheses),
        "score": round(found.hypotheses[0].score, 4),
    }
