"""Choosing an engine, its settings, and getting what it lacks."""

from __future__ import annotations

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_amodal.clip import Clip
from napari_amodal.engine import Overrides
from napari_amodal.widgets.engine_choice import EngineChoice, engine_choice, engine_choices
from napari_amodal.widgets.settings_form import SettingsForm
from napari_amodal.widgets.weights_dialog import WeightsDialog


class EnginePicker(QObject):
    """The controls of the engine, for the panel to lay out.

    Signals
    -------
    changed
        Another engine or setting is chosen, or another thing is lacking.
    """

    changed = Signal()

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._clip: Clip | None = None
        self._choices = engine_choices()
        self._dialog: WeightsDialog | None = None
        self.form: SettingsForm | None = None
        self._make()
        self._on_engine()

    def _make(self) -> None:
        self.list = QComboBox()
        for choice in self._choices:
            self.list.addItem(_title(choice))
        self.list.currentIndexChanged.connect(self._on_engine)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.weights_button = QPushButton("Get the weights …")
        self.weights_button.clicked.connect(self.open_weights)
        self.settings_button = QPushButton()
        self.settings_button.setCheckable(True)
        self.settings_button.setStyleSheet(
            "QPushButton, QPushButton:checked {text-align: left; border: none; background: none}"
        )
        self.settings_box = QWidget()
        self.settings_box.setVisible(False)
        box = QVBoxLayout(self.settings_box)
        box.setContentsMargins(12, 0, 0, 0)
        self.settings_button.toggled.connect(self.settings_box.setVisible)
        self.settings_button.toggled.connect(self._show)

    # -- what is chosen ---------------------------------------------------------------------------

    @property
    def choice(self) -> EngineChoice:
        """The chosen engine, with what it lacks as it is set now."""
        return self._choices[max(self.list.currentIndex(), 0)]

    @property
    def settings(self) -> Overrides:
        """The settings that differ from the engine's."""
        return {} if self.form is None else self.form.overrides()

    def choose(self, name: str) -> None:
        """Choose an engine by name."""
        self.list.setCurrentIndex([choice.name for choice in self._choices].index(name))

    def restore(self, name: str, settings: Overrides) -> None:
        """Choose an engine with settings as a session has them; nothing if it is not installed."""
        if name in [choice.name for choice in self._choices]:
            self.choose(name)
            if self.form is not None:
                self.form.restore(settings)

    def follow(self, clip: Clip | None) -> None:
        """Take another clip: what an engine lacks may depend on it."""
        if clip is not self._clip:
            self._clip = clip
            self.look_again()

    def look_again(self) -> None:
        """See what is here now: weights come and go while the panel stands."""
        chosen = self.choice.name
        choices = tuple(
            engine_choice(name, self._clip, self.settings if name == chosen else None)
            for name in (choice.name for choice in self._choices)
        )
        if choices != self._choices:
            self._choices = choices
            self._show()
            self.changed.emit()

    def open_weights(self) -> None:
        """Open the dialog of weights at the first that the engine lacks."""
        if self._dialog is None:
            self._dialog = WeightsDialog(self._panel)
            self._dialog.setWindowFlag(Qt.WindowType.Dialog)
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._dialog.resize(640, 480)
            self._dialog.changed.connect(self.look_again)
            self._dialog.destroyed.connect(self._on_dialog_closed)
        if self.choice.weights:
            self._dialog.choose(self.choice.weights[0])
        self._dialog.show()
        self._dialog.raise_()

    def _on_dialog_closed(self) -> None:
        self._dialog = None

    # -- showing ----------------------------------------------------------------------------------

    def _on_engine(self) -> None:
        if self.form is not None:
            self.form.hide()
            self.form.deleteLater()
            self.form = None
        engine = self.choice.engine
        if engine is not None:
            self.form = SettingsForm(engine)
            self.form.changed.connect(self._on_setting)
            box = self.settings_box.layout()
            assert box is not None
            box.addWidget(self.form)
        self._show()
        self.look_again()  # the settings of the engine that was left count no more
        self.changed.emit()

    def _on_setting(self) -> None:
        self._show()
        self.look_again()

    def _show(self) -> None:
        choice = self.choice
        for index, each in enumerate(self._choices):
            self.list.setItemText(index, _title(each))
            self.list.setItemData(index, each.commands or each.summary, Qt.ItemDataRole.ToolTipRole)
        self.note.setText(choice.summary)
        self.note.setToolTip(choice.commands)
        self.weights_button.setVisible(bool(choice.weights))
        self.weights_button.setToolTip(choice.commands)
        count = 0 if self.form is None else self.form.changed_count
        arrow = "▾" if self.settings_button.isChecked() else "▸"
        self.settings_button.setText(f"{arrow} Settings" + f" ({count} changed)" * bool(count))
        self.settings_button.setEnabled(self.form is not None)


def _title(choice: EngineChoice) -> str:
    return f"{choice.name} (incomplete)" if choice.lacks else choice.name
