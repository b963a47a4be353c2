"""In which frames an object is leaving the frame, coming into it, or not in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from napari_amodal.boxes import Box
from napari_amodal.draft.leaving import touches_border

#: Where the annotator has called an object at the border fully visible, it is leaving once this
#: share of its box lies beyond.
_LEAVING_SHARE = 0.05
#: An object that is less than this visible when it is first seen was hidden before, not absent.
_EMERGING_SHARE = 0.7


def frames_gone(
    seen: Sequence[Box | None],
    whole: Sequence[Box | None],
    amounts: Sequence[float | None],
    clear: Iterable[int],
    height: int,
    width: int,
) -> frozenset[int]:
    """Frames of level `NONE`, other than those that show nothing for no known reason.

    As in TABE (reference page, section 3): the object is leaving (or coming) while its visible box
    touches the border, for two frames or more or at an end of the clip or beside frames without it;
    and it is gone while it is unseen after that. Unlike there, an object that the annotator calls
    fully visible while it touches the border leaves only once it is cut; and one that first appears
    from behind something was there before.

    Parameters
    ----------
    seen, whole : sequence of Box or None
        Visible box, and box of the whole shape, of each frame.
    amounts : sequence of float or None
        Hidden shares.
    clear : iterable of int
        Frames in which the object is fully visible by definition.
    height, width : int
        Size of the frame.
    """
    cut = [box is not None and _share_beyond(box, height, width) for box in whole]
    clear = frozenset(clear)
    gone: set[int] = set()
    for place, group in groupby(range(len(seen)), key=lambda at: _place(seen[at], height, width)):
        run = list(group)
        if place == "unseen" and _is_gone(run, gone, amounts):
            gone.update(run)
        elif place == "border" and not _is_moment(run, seen):
            called_clear = not clear.isdisjoint(run)
            gone.update(at for at in run if not called_clear or cut[at] >= _LEAVING_SHARE)
    return frozenset(gone)


def _place(box: Box | None, height: int, width: int) -> str:
    if box is None:
        return "unseen"
    return "border" if touches_border(box, height, width) else "inside"


def _is_moment(run: Sequence[int], seen: Sequence[Box | None]) -> bool:
    """Whether the object touches the border for one frame between two inside the frame."""
    at = run[0]
    return (
        len(run) == 1
        and 0 < at < len(seen) - 1
        and seen[at - 1] is not None
        and seen[at + 1] is not None
    )


def _is_gone(run: Sequence[int], gone: set[int], amounts: Sequence[float | None]) -> bool:
    if run[0] > 0:
        return run[0] - 1 in gone
    after = run[-1] + 1
    amount = amounts[after] if after < len(amounts) else None
    return amount is None or 1 - amount >= _EMERGING_SHARE


def _share_beyond(box: Box, height: int, width: int) -> float:
    inside = box.clipped(height, width)
    return 1.0 - (inside.area if inside else 0) / box.area
