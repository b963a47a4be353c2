"""Says where the work is saved, and offers what was saved before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_amodal.annotation.session_search import FoundSession
from napari_amodal.widgets.session_keeper import SessionKeeper


class SessionOffer(QWidget):
    """A question at the top of the panel, there only while a session is offered.

    Signals
    -------
    clip_wanted : pathlib.Path
        The session of a clip that is not open is to be opened.
    """

    clip_wanted = Signal(object)

    def __init__(self, keeper: SessionKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.go_on = QPushButton("Go on with it")
        self.go_on.setToolTip("Open the session with its layers, locks and undo steps")
        self.not_now = QPushButton("Not now")
        self.not_now.setToolTip("Leave it where it is; new work is kept in another session")
        buttons = QHBoxLayout()
        buttons.addWidget(self.go_on)
        buttons.addWidget(self.not_now)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet("SessionOffer { border: 1px solid #4c8dff; border-radius: 3px; }")
        self.go_on.clicked.connect(self._on_go_on)
        self.not_now.clicked.connect(keeper.decline)
        keeper.changed.connect(self._update)
        self._update()

    def _on_go_on(self) -> None:
        offer = self._keeper.offer
        if offer is not None and self._keeper.is_for_open_clip:
            self._keeper.accept()
        elif offer is not None:
            self._keeper.decline()
            self.clip_wanted.emit(offer.folder)

    def _update(self) -> None:
        offer = self._keeper.offer
        self.setVisible(offer is not None)
        if offer is not None:
            self.text.setText(offer_told(offer, is_for_open_clip=self._keeper.is_for_open_clip))


def offer_told(offer: FoundSession, *, is_for_open_clip: bool) -> str:
    """An offer in words."""
    which = "this clip" if is_for_open_clip else f"<b>{offer.clip.name}</b>"
    begin = (
        f"There is work on {which}"
        if offer.is_closed
        else f"napari ended in the middle of work on {which}"
    )
    steps = f"{offer.steps} step{'s' * (offer.steps != 1)}"
    return f"{begin}: {steps}, saved {_ago(offer.saved)} in {Path(offer.folder).name}."


def _ago(saved: str) -> str:
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(saved)).total_seconds()
    except (TypeError, ValueError):
        return saved
    if seconds < 90:
        return f"{max(0, round(seconds))} s ago"
    if seconds < 5400:
        return f"{round(seconds / 60)} min ago"
    return f"{round(seconds / 3600)} h ago" if seconds < 172800 else f"on {saved[:10]}"
