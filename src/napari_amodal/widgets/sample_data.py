"""The sample clip in napari: the frames, and a query that is painted already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    LayerTuple = tuple[Any, dict[str, Any], str]


def open_sample() -> list[LayerTuple]:
    """Layer data of the sample: *frames*, and *query* with the object painted on one frame."""
    from napari_amodal.sample import sample_clip
    from napari_amodal.widgets.label_colors import label_colors
    from napari_amodal.widgets.layer_origin import LayerOrigin, LayerRole
    from napari_amodal.widgets.mask_volume import mask_volume

    sample = sample_clip()
    clip, visible = sample.clip, sample.visible
    query = mask_volume(visible.shape)
    frame = next(n for n, box in enumerate(visible.boxes) if box is not None)
    query[frame][visible[frame]] = 1
    return [
        (
            clip.frames,
            {
                "name": clip.name,
                "rgb": True,
                "axis_labels": ("frame", "y", "x"),
                "metadata": LayerOrigin(LayerRole.FRAMES, clip).as_metadata(),
            },
            "image",
        ),
        (
            query,
            {
                "name": "query",
                "axis_labels": ("frame", "y", "x"),
                "opacity": 0.5,
                "colormap": label_colors(LayerRole.VISIBLE),
                "metadata": LayerOrigin(LayerRole.QUERY, clip, query_frame=frame).as_metadata(),
            },
            "labels",
        ),
    ]
