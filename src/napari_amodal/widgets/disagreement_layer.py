"""A layer that shows, pixel by pixel, where the hypotheses of the shown frame disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject

from napari_amodal.widgets.completion_model import CompletionModel
from napari_amodal.widgets.layer_clip import grid_of
from napari_amodal.widgets.mask_tools import MaskTools

NAME = "disagreement"


class DisagreementLayer(QObject):
    """One frame, shown over whatever frame the viewer is at; nothing is kept of the others."""

    def __init__(
        self, model: CompletionModel, tools: MaskTools, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._model, self._tools = model, tools
        self._viewer: ViewerModel = model.viewer
        self._layer: Image | None = None
        model.masks_changed.connect(self.refresh)
        model.annotation.current_changed.connect(self.refresh)
        self._viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_shown(self) -> bool:
        return self._layer is not None

    def show(self, wanted: bool) -> None:
        """Add the layer, or take it away."""
        if wanted and self._layer is None and self._model.stack is not None:
            self._layer = self._made()
            active = self._viewer.layers.selection.active
            self._viewer.add_layer(self._layer)
            if active is not None:
                self._viewer.layers.selection.active = active
            self.refresh()
        elif not wanted and self._layer is not None:
            self._viewer.layers.remove(self._layer)

    def _made(self) -> Image:
        assert self._model.stack is not None
        grid = grid_of(self._model.stack)
        return Image(
            np.zeros(grid.shape[1:], np.float32),
            name=NAME,
            colormap="magma",
            blending="additive",
            contrast_limits=(0, 1),
            scale=list(grid.placement["scale"])[1:],
            translate=list(grid.placement["translate"])[1:],
        )

    def refresh(self) -> None:
        """Show the frame that the viewer shows now."""
        if self._layer is not None:
            divided = self._tools.divided()
            shape = self._layer.data.shape
            self._layer.data = np.zeros(shape, np.float32) if divided is None else divided

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
