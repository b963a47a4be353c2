"""A form for an engine's settings, built from what its stages say of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import Field, fields
from typing import Any, get_type_hints

from magicgui.widgets import create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_amodal.engine import make_settings
from napari_amodal.registry import Engine, StageKind, stage_type

#: The setting that is asked for once where several stages have it.
SHARED = "device"


class SettingsForm(QWidget):
    """The settings that an engine's stages give a label to, with their help as tooltips.

    Signals
    -------
    changed
        A setting has another value.
    """

    changed = Signal()

    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: dict[tuple[str, str], tuple[Any, ValueWidget]] = {}
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._add_shared(engine)
        for kind, name in engine.stages.items():
            self._add_stage(kind, name, engine.settings.get(name, {}))
        if not self._values:
            self._form.addRow(QLabel("This engine has no settings."))

    def overrides(self) -> dict[str, dict[str, Any]]:
        """The settings that differ from the engine's: stage name to setting to value."""
        found: dict[str, dict[str, Any]] = {}
        for (stage, setting), (default, widget) in self._values.items():
            if widget.value != default:
                found.setdefault(stage, {})[setting] = widget.value
        return found

    def restore(self, overrides: Mapping[str, Mapping[str, Any]]) -> None:
        """Set the fields to what `overrides` gave; what no field shows or takes is left out."""
        for (stage, setting), (default, widget) in self._values.items():
            with suppress(ValueError, TypeError):  # another version's settings
                widget.value = overrides.get(stage, {}).get(setting, default)

    @property
    def changed_count(self) -> int:
        """How many of the form's fields differ from the engine's settings."""
        fields_changed = {
            id(widget) for default, widget in self._values.values() if widget.value != default
        }
        return len(fields_changed)

    def _add_shared(self, engine: Engine) -> None:
        """The device, once for all stages that have one."""
        wanting = [
            (stage, field, settings)
            for stage, settings in (
                (name, make_settings(kind, name, engine.settings.get(name, {})))
                for kind, name in engine.stages.items()
            )
            for field in fields(settings)
            if field.name == SHARED and "label" in field.metadata
        ]
        if len({getattr(settings, SHARED) for _, _, settings in wanting}) != 1:
            return
        _, field, settings = wanting[0]
        widget = self._add_field(field, settings)
        for stage, _, _ in wanting:
            self._values[stage, SHARED] = (widget.value, widget)

    def _add_stage(self, kind: StageKind, stage: str, values: Mapping[str, Any]) -> None:
        settings = make_settings(kind, stage, values)
        shown = [
            field
            for field in fields(settings)
            if "label" in field.metadata and (stage, field.name) not in self._values
        ]
        if not shown:
            return
        self._form.addRow(QLabel(f"<b>{stage_type(kind, stage).title}</b>"))
        for field in shown:
            widget = self._add_field(field, settings)
            self._values[stage, field.name] = (widget.value, widget)

    def _add_field(self, field: Field[Any], settings: Any) -> ValueWidget:
        kind = get_type_hints(type(settings))[field.name]
        widget = _value_widget(getattr(settings, field.name), kind, field.metadata)
        widget.changed.connect(self._on_value)
        title = field.metadata["label"]
        label = QLabel(title[:1].upper() + title[1:])
        label.setToolTip(field.metadata.get("help", ""))
        self._form.addRow(label, widget.native)
        return widget

    def _on_value(self) -> None:
        self.changed.emit()


def _value_widget(value: Any, kind: Any, metadata: Mapping[str, Any]) -> ValueWidget:
    options = {name: metadata[name] for name in ("min", "max", "step") if name in metadata}
    widget = create_widget(value, annotation=kind, options=options)
    assert isinstance(widget, ValueWidget)
    widget.tooltip = metadata.get("help", "")
    return widget
