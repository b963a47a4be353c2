"""The layer in which the annotator paints the objects: one label value an object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_amodal.clip import Clip
from napari_amodal.errors import InputError
from napari_amodal.masks import Mask
from napari_amodal.stages import Query
from napari_amodal.widgets.label_colors import label_colors
from napari_amodal.widgets.layer_clip import grid_of
from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole
from napari_amodal.widgets.mask_volume import mask_volume

#: The brush of a new query layer, as a share of the frame's shorter side.
BRUSH_SHARE = 0.03


def make_query_layer(stack: Image, clip: Clip) -> Labels:
    """An empty Labels layer over a frame stack, ready to be painted in."""
    grid = grid_of(stack)
    layer = Labels(
        mask_volume(grid.shape),
        name="query",
        opacity=0.5,
        metadata=LayerOrigin(LayerRole.QUERY, clip).as_metadata(),
        colormap=label_colors(LayerRole.VISIBLE),
        **grid.placement,
    )
    layer.brush_size = max(3, round(BRUSH_SHARE * min(grid.shape[1:])))
    return layer


def edit_events(layer: Labels) -> tuple[Any, ...]:
    """The events of a Labels layer that say that it was painted in; undo sends `set_data`."""
    return layer.events.paint, layer.events.labels_update, layer.events.set_data


def painted_labels(labels: NDArray[Any]) -> tuple[int, ...]:
    """The label values on one frame ``(H, W)``, ascending, without 0."""
    if not labels.any():
        return ()
    return tuple(int(value) for value in np.unique(labels) if value != 0)


def painted_masks(
    labels: Any, check: Callable[[], None]
) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Object id, frame and mask of everything painted in ``(T, H, W)``; `check` is asked often."""
    for frame in range(labels.shape[0]):
        check()
        values = np.array(labels[frame])  # a copy: the annotator may go on painting
        for object_id in painted_labels(values):
            yield object_id, frame, values == object_id


def read_queries(
    labels: Any,
    name: str,
    *,
    every_frame: bool,
    check: Callable[[], None],
    only: int | None = None,
    clicked: Mapping[int, Collection[int]] = MappingProxyType({}),
) -> dict[int, Query]:
    """What is painted in a query layer, by object, or of one object `only`.

    Frames that were `clicked`, by object, are meant; of others, one an object may be painted.

    Raises
    ------
    InputError
        Nothing is painted, or an object is painted on several frames and `every_frame` is False.
    """
    found: dict[int, dict[int, Mask]] = {}
    for object_id, frame, mask in painted_masks(labels, check):
        if only in (None, object_id):
            found.setdefault(object_id, {})[frame] = mask
    if not found:
        raise InputError(
            f"nothing is painted in {name!r}: go to a frame where the object is fully visible and "
            "paint it"
        )
    if not every_frame:
        for object_id, masks in found.items():
            by_brush = masks.keys() - set(clicked.get(object_id, ()))
            _check_one_frame(object_id, by_brush, name)
    return {object_id: Query(masks) for object_id, masks in found.items()}


def _check_one_frame(object_id: int, frames: Collection[int], name: str) -> None:
    if len(frames) > 1:
        raise InputError(
            f"object {object_id} is painted on frames {frame_list(sorted(frames))} of {name!r}: "
            "erase all but one, or tick 'Use every painted frame'"
        )


def frame_list(frames: list[int], at_most: int = 6) -> str:
    """``0, 5 and 9``, shortened where there are many."""
    if len(frames) > at_most:
        shown = ", ".join(map(str, frames[: at_most - 1]))
        return f"{shown} and {len(frames) - at_most + 1} more"
    head = ", ".join(map(str, frames[:-1]))
    return f"{head} and {frames[-1]}" if head else str(frames[-1])
