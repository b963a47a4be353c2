"""The keys of the manifest at work: napari itself does not bind what a plugin declares.

All keys stand in ``napari.yaml`` (commands and keybindings) and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined]
from qtpy.QtWidgets import QAbstractButton, QDialog, QLabel, QVBoxLayout, QWidget

PLUGIN = "napari-amodal"


@dataclass(frozen=True)
class Key:
    """A key of ours.

    Attributes
    ----------
    command : str
        The id of the command, as in the manifest.
    title : str
        What it does.
    key : str
        As Qt writes it: ``Ctrl+Shift+N``.
    """

    command: str
    title: str
    key: str


def our_keys() -> tuple[Key, ...]:
    """The keys that the manifest declares, in its order."""
    contributions = PluginManager.instance().get_manifest(PLUGIN).contributions
    titles = {command.id: command.title for command in contributions.commands or ()}
    return tuple(
        Key(binding.command, titles[binding.command], str(binding.key))
        for binding in contributions.keybindings or ()
    )


class Keys(QObject):
    """Binds our keys in a viewer's window, and shows them.

    Parameters
    ----------
    viewer : napari.Viewer
    panel : QWidget
        The keys work while its window is the active one.
    """

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._sheet: QDialog | None = None
        self.shortcuts = [self._bound(key) for key in our_keys()]

    def _bound(self, key: Key) -> QShortcut:
        shortcut = QShortcut(QKeySequence(key.key), self._panel)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        commands = PluginManager.instance().commands
        shortcut.activated.connect(lambda: commands.execute(key.command, (self._viewer,)))
        return shortcut

    def tell(self, button: QAbstractButton, command: str) -> None:
        """Add the key of a command to a button's tooltip."""
        key = next((key.key for key in our_keys() if key.command == f"{PLUGIN}.{command}"), None)
        if key is not None and f"({key})" not in button.toolTip():
            button.setToolTip(f"{button.toolTip()} ({key})")

    def show_sheet(self) -> None:
        """Show all keys in one window; shown again it is raised."""
        if self._sheet is None:
            self._sheet = QDialog(self._panel)
            self._sheet.setWindowTitle("Keys of napari-amodal")
            label = QLabel(sheet())
            label.setTextFormat(Qt.TextFormat.RichText)
            layout = QVBoxLayout(self._sheet)
            layout.addWidget(label)
        self._sheet.show()
        self._sheet.raise_()

    @property
    def is_sheet_shown(self) -> bool:
        return self._sheet is not None and self._sheet.isVisible()


def sheet() -> str:
    """All keys as a table, rich text."""
    rows = "".join(
        f"<tr><td><b>{key.key}</b>&nbsp;&nbsp;</td><td>{key.title}</td></tr>" for key in our_keys()
    )
    return (
        f"<table cellpadding=2>{rows}</table><p>In the timeline: click or drag to go to a frame, "
        "Shift-drag to select frames,<br>right-click to set the level. While clicking the object: "
        "Alt or right click takes away.<br>napari's own keys: Help &gt; Show Key Bindings.</p>"
    )
