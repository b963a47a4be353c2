"""What the command line takes as the query of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_amodal.cli.clicks import ClicksByObject
from napari_amodal.clip import Clip
from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.mask_png import read_labels
from napari_amodal.formats.tabe51 import Tabe51Clip, full_stack
from napari_amodal.masks import Mask, MaskStack
from napari_amodal.stages import Query

#: The id of an object that has no number of its own.
ONLY_OBJECT = 1


@dataclass(frozen=True)
class QueryChoice:
    """The query as the call names it.

    Attributes
    ----------
    mask : pathlib.Path or None
        A mask image; None for the clip's own first visible mask.
    frame : int or None
        The frame that it is on.
    object_id : int or None
        The one object to complete; None for all.
    clicks : mapping
        Points and boxes by object and frame; with them the clip's own masks are left alone.
    """

    mask: Path | None
    frame: int | None
    object_id: int | None
    clicks: ClicksByObject = field(default_factory=dict)


def find_queries(clip: Clip, folder: Tabe51Clip | None, choice: QueryChoice) -> Mapping[int, Query]:
    """The queries of a call by object id.

    Parameters
    ----------
    clip : Clip
    folder : Tabe51Clip or None
        The clip folder that the clip is from, if it is from one.
    choice : QueryChoice

    Raises
    ------
    CallError
        There is no such file, frame or object, or nothing to take the query from.
    InputError
        The mask is empty, of another size or not a mask.
    """
    if choice.frame is not None and not 0 <= choice.frame < len(clip):
        raise CallError(f"--query-frame {choice.frame}: the clip has frames 0 to {len(clip) - 1}")
    if choice.mask is not None or choice.clicks:
        return _with_clicks(clip, choice)
    if choice.object_id not in (None, ONLY_OBJECT):
        raise CallError(f"--object {choice.object_id}: objects are numbered in the --query mask")
    frame, mask = _own_mask(clip, folder, choice.frame)
    return {ONLY_OBJECT: Query({frame: mask})}


def _with_clicks(clip: Clip, choice: QueryChoice) -> dict[int, Query]:
    """The objects of the mask image and those that were clicked; one may be both."""
    painted: dict[int, Query] = {}
    if choice.mask is not None:
        painted = _painted(clip, choice.mask, choice.frame or 0, choice.object_id)
    elif choice.frame is not None:
        raise CallError("--query-frame goes with --query; --click and --box name their own frames")
    clicked = {
        object_id: clicks
        for object_id, clicks in choice.clicks.items()
        if choice.object_id in (None, object_id)
    }
    if not painted and not clicked:
        listed = ", ".join(map(str, sorted(choice.clicks)))
        raise CallError(f"--object {choice.object_id}: the objects {listed} were clicked")
    return {
        object_id: Query(
            painted[object_id].visible if object_id in painted else {},
            clicks=clicked.get(object_id, {}),
        )
        for object_id in sorted({*painted, *clicked})
    }


def _painted(clip: Clip, path: Path, frame: int, object_id: int | None) -> dict[int, Query]:
    if not path.is_file():
        what = "it is a folder, give an image in it" if path.is_dir() else "there is no such file"
        raise CallError(f"--query {path}: {what}")
    labels = read_labels(path, (clip.height, clip.width))
    ids = [int(label) for label in sorted(set(labels[labels != 0].tolist()))]
    if not ids:
        raise InputError(f"the query {path} is empty: paint the object's mask on one frame")
    if object_id is not None:
        if object_id not in ids:
            held = ", ".join(map(str, ids))
            raise CallError(f"--object {object_id}: {path} holds the objects {held}")
        ids = [object_id]
    return {label: Query({frame: labels == label}) for label in ids}


def _own_mask(clip: Clip, folder: Tabe51Clip | None, frame: int | None) -> tuple[int, Mask]:
    if folder is None or not folder.visible:
        raise CallError(
            f"{clip.source or clip.name} has no visible_masks/: give the object's mask as --query"
        )
    if frame is None:
        for own in sorted(folder.visible):
            mask = folder.visible[own]
            if mask.any():
                return own, mask
        raise InputError("all masks in visible_masks/ are empty: give the object's mask as --query")
    if frame not in folder.visible:
        raise CallError(
            f"--query-frame {frame}: visible_masks/ has no mask of that frame; give it as --query"
        )
    mask = folder.visible[frame]
    if not mask.any():
        raise InputError(f"visible_masks/ is empty on frame {frame}: choose another --query-frame")
    return frame, mask


def given_visible(clip: Clip, folder: Tabe51Clip | None, object_ids: list[int]) -> MaskStack:
    """The clip's own visible masks, of every frame, for ``--visible given``.

    Raises
    ------
    CallError
        There are none, or there is more than one object.
    InputError
        Some frames have none.
    """
    if folder is None or not folder.visible:
        raise CallError(f"--visible given: {clip.source or clip.name} has no visible_masks/")
    if len(object_ids) > 1:
        listed = ", ".join(map(str, object_ids))
        raise CallError(f"--visible given is for one object: choose --object out of {listed}")
    return full_stack(folder.visible, clip, "visible_masks")
