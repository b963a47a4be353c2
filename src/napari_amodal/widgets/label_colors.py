"""Colours by which visible and hidden parts, and objects, are told apart.

What is seen has the object's colour, the whole another: where only that is, the hidden part stands
out. The first of them is magenta, which is rare in real scenes.
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
    return _colormap(role, _COLORS[role])


def mask_colors(role: LayerRole, object_id: int, color: str) -> CyclicLabelColormap:
    """The one colour of a layer with the masks of one object, whose own is `color`."""
    whole = _COLORS[LayerRole.AMODAL]
    own = color if role is LayerRole.VISIBLE else whole[(object_id - 1) % len(whole)]
    return _colormap(role, (own,))


def _colormap(role: LayerRole, colors: tuple[str, ...]) -> CyclicLabelColormap:
    return CyclicLabelColormap(
        colors=["transparent", *colors], background_value=0, name=f"amodal {role}"
    )
