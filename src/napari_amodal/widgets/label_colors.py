"""Colours by which visible and hidden parts, and objects, are told apart.

Cool for what is seen, others for the whole: where only those are, the hidden part stands out. The
first of them is magenta, which is rare in real scenes.
"""

from __future__ import annotations

from napari.utils.colormaps import CyclicLabelColormap

from napari_amodal.widgets.layer_origin import LayerRole

_COLORS = {
    LayerRole.VISIBLE: ("#19b5fe", "#2ecc71", "#7d8cff", "#00d1c1", "#9be15d"),
    LayerRole.AMODAL: ("#ff2fc8", "#ffd21f", "#ff5a36", "#c77dff", "#ffffff"),
}


def label_colors(role: LayerRole) -> CyclicLabelColormap:
    """The colours of label values 1, 2, ... in layers of a role."""
    return CyclicLabelColormap(
        colors=["transparent", *_COLORS[role]], background_value=0, name=f"amodal {role}"
    )
