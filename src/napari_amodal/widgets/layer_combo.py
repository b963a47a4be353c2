"""A drop-down list of a viewer's layers of one kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import LayerList
from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QWidget


class LayerCombo(QComboBox):
    """Lists the layers that `accepts` says yes to, topmost first, and follows the viewer.

    Signals
    -------
    layer_chosen : Layer or None
        Another layer is chosen, by the person or because the one before is gone.
    """

    layer_chosen = Signal(object)

    def __init__(
        self,
        layers: LayerList,
        accepts: Callable[[Layer], bool],
        nothing: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._layers = layers
        self._accepts = accepts
        self._nothing = nothing
        self._listed: list[Layer] = []
        self._chosen: Layer | None = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(0)
        self._refresh.timeout.connect(self.refresh)
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self._on_layers_changed)
        layers.events.removed.connect(self._on_removed)
        self.activated.connect(self._on_activated)
        self.refresh()

    @property
    def chosen(self) -> Layer | None:
        return self._chosen

    def choose(self, layer: Layer | None) -> None:
        """Show a layer as chosen without emitting a signal."""
        self._chosen = layer
        self.refresh()

    def refresh(self) -> None:
        """List the layers anew; choose the first where the chosen one is gone."""
        for layer in self._listed:
            layer.events.name.disconnect(self._on_layers_changed)
        self._listed = [layer for layer in reversed(self._layers) if self._accepts(layer)]
        for layer in self._listed:
            layer.events.name.connect(self._on_layers_changed)
        before = self._chosen
        if before not in self._listed:
            self._chosen = self._listed[0] if self._listed else None
        with QSignalBlocker(self):
            self.clear()
            self.addItems([layer.name for layer in self._listed] or [self._nothing])
            self.setEnabled(bool(self._listed))
            if self._chosen is not None:
                self.setCurrentIndex(self._listed.index(self._chosen))
        if self._chosen is not before:
            self.layer_chosen.emit(self._chosen)

    def _on_layers_changed(self, event: Any = None) -> None:
        self._refresh.start()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._chosen:  # it may be back before the list is made anew
            self._chosen = None

    def _on_activated(self, index: int) -> None:
        if index < len(self._listed) and self._listed[index] is not self._chosen:
            self._chosen = self._listed[index]
            self.layer_chosen.emit(self._chosen)
