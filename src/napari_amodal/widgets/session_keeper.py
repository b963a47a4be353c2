"""Saves the work by itself, and offers what was saved before."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_amodal.annotation.autosave import Autosave
from napari_amodal.annotation.clip_reference import ClipReference, check_is, reference_to
from napari_amodal.annotation.history import History
from napari_amodal.annotation.session import Session
from napari_amodal.annotation.session_folder import SessionFolder
from napari_amodal.annotation.session_search import (
    CLOSED,
    FoundSession,
    is_in_use,
    new_session_folder,
    remember,
    sessions_of,
    unfinished,
)
from napari_amodal.clip import Clip
from napari_amodal.errors import CallError
from napari_amodal.widgets.annotation_model import AnnotationModel
from napari_amodal.widgets.background_job import BackgroundJob

#: How often the window looks whether there is something to save (ms).
LOOK_MS = 500
#: Longer pauses between two steps are no time that was spent on the clip, in seconds.
LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Opened:
    """A session that was read."""

    folder: SessionFolder
    session: Session
    faults: tuple[str, ...]


class SessionKeeper(QObject):
    """Keeps the open clip's work in a session folder; lives in the window's thread.

    Signals
    -------
    changed
        There is another offer, or something was saved.
    loaded : Session
        A session was read and is to be shown.

    Attributes
    ----------
    offer : FoundSession or None
        An earlier session that the annotator may go on with.
    """

    changed = Signal()
    loaded = Signal(object)

    def __init__(self, annotation: AnnotationModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._annotation = annotation
        self.offer: FoundSession | None = None
        self.view: dict[str, Any] = {}
        self._seconds = 0.0
        self._last_step = time.monotonic()
        self._reference: ClipReference | None = None
        self._autosave: Autosave | None = None
        self._saved: History | None = None
        self._told_last = ""
        self._opening: Opened | None = None
        self._search: BackgroundJob[tuple[ClipReference | None, FoundSession | None]] | None = None
        self._loading: BackgroundJob[Opened] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self._timer.start()
        annotation.opened.connect(self._on_opened)
        annotation.history_changed.connect(self._on_step)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)
        self._look_for_sessions(None)

    # -- finding and opening ----------------------------------------------------------------------

    def _look_for_sessions(self, clip: Clip | None) -> None:
        def work(_: object) -> tuple[ClipReference | None, FoundSession | None]:
            if clip is None:
                return None, unfinished()
            reference = reference_to(clip)
            free = (found for found in sessions_of(reference) if not is_in_use(found.folder))
            return reference, next(free, None)

        self._search = BackgroundJob(work)
        self._search.start()

    def open(self, folder: Path, clip: Clip) -> None:
        """Read a session of a clip in a thread; `loaded` tells when it is there."""
        self.offer = None

        def work(job: BackgroundJob[Opened]) -> Opened:
            kept = _patiently_opened(folder, job)
            try:
                session, faults = kept.load()
                check_is(session.clip, clip)
            except BaseException:
                kept.close()
                raise
            return Opened(kept, session, faults)

        self._loading = BackgroundJob(work)
        self._loading.start()
        self.changed.emit()

    def accept(self) -> None:
        """Go on with the offered session."""
        if self.offer is not None and self._annotation.clip is not None:
            self.open(self.offer.folder, self._annotation.clip)

    def decline(self) -> None:
        """Leave the offered session as it is."""
        self.offer = None
        self.changed.emit()

    @property
    def is_for_open_clip(self) -> bool:
        """Whether the offer is a session of the clip that is open."""
        offer, own = self.offer, self._reference
        return offer is not None and own is not None and offer.clip.fingerprint == own.fingerprint

    @property
    def is_loading(self) -> bool:
        return self._loading is not None

    def _take_search(self) -> None:
        search = self._search
        if search is None or search.is_alive:
            return
        self._search = None
        if search.result is None:
            show_warning(f"The work on this clip will not be saved by itself: {search.error}")
            return
        self._reference, found = search.result
        if self._opening is None and self._loading is None:
            self.offer = found
        self.changed.emit()

    def _take_loaded(self) -> None:
        loading = self._loading
        if loading is None or loading.is_alive:
            return
        self._loading = None
        opened = loading.result
        if opened is None:
            show_error(str(loading.error))
            self.changed.emit()
            return
        for fault in opened.faults:
            show_warning(f"In the session: {fault}")
        self._opening = opened
        self.loaded.emit(opened.session)  # the annotation is opened anew: `_on_opened`

    def _on_opened(self) -> None:
        self.close()
        opening, self._opening = self._opening, None
        self.offer, self._reference, self._search = None, None, None
        self._saved = self._annotation.history
        self._seconds, self.view = 0.0, {}
        self._last_step = time.monotonic()
        if opening is not None:
            self._reference, self._seconds = opening.session.clip, opening.session.seconds
            self.view = {k: v for k, v in opening.session.view.items() if k != CLOSED}
            self._autosave = Autosave(lambda: opening.folder)
        else:
            self._look_for_sessions(self._annotation.clip)
        self.changed.emit()

    # -- saving -----------------------------------------------------------------------------------

    @property
    def told(self) -> str:
        """What is to be said about saving; empty before there is anything."""
        autosave = self._autosave
        if autosave is None:
            return ""
        if autosave.fault:
            return f"Not saved: {autosave.fault}"
        if autosave.saved_at is None or autosave.folder is None:
            return "" if self._saved is None else "Saving …"
        return f"Saved {autosave.saved_at:%H:%M:%S} in {autosave.folder.folder.name}"

    @property
    def folder(self) -> Path | None:
        """The folder of the open session; None before the first save."""
        kept = None if self._autosave is None else self._autosave.folder
        return None if kept is None else kept.folder

    def _on_step(self) -> None:
        now = time.monotonic()
        self._seconds += min(now - self._last_step, LONGEST_PAUSE)
        self._last_step = now

    def _look(self) -> None:
        self._take_search()
        self._take_loaded()
        history = self._annotation.kept_history
        if history is not None and self._is_news(history):
            self._save(history, closed=False)
        if self.told != self._told_last:
            self._told_last = self.told
            self.changed.emit()

    def _is_news(self, history: History) -> bool:
        before = self._saved
        if self._reference is None or len(history.steps) < 2:
            return False  # what was merely opened is no work
        return before is None or (
            history.state is not before.state or history.position != before.position
        )

    def _save(self, history: History, *, closed: bool) -> None:
        reference = self._reference
        assert reference is not None
        if self._autosave is None:
            self._autosave = Autosave(lambda: _new_folder(reference))
        self._saved = history
        view = MappingProxyType({**self.view, CLOSED: closed})
        self._autosave.offer(Session(reference, history, round(self._seconds, 1), view))

    def close(self) -> None:
        """Save what is left and let go of the folder, in a thread that Python waits for."""
        autosave = self._autosave
        if autosave is None:
            return
        history = self._saved
        if history is not None and len(history.steps) > 1:
            self._save(history, closed=True)
        self._autosave = None
        threading.Thread(target=autosave.close, name="napari-amodal-close").start()


def _new_folder(reference: ClipReference) -> SessionFolder:
    kept = new_session_folder(reference)
    remember(kept.folder)
    return kept


def _patiently_opened(folder: Path, job: BackgroundJob[Opened]) -> SessionFolder:
    """A session's folder; this process may just be closing it."""
    until = time.monotonic() + 5
    while True:
        job.check()
        try:
            kept = SessionFolder(folder)
        except CallError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            remember(kept.folder)
            return kept
