"""Saving a session by itself: in a thread of its own, while there is something new."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from napari_amodal.annotation.session import Session
from napari_amodal.annotation.session_folder import SessionFolder
from napari_amodal.errors import InputError

#: Pause between two saves, in seconds.
PAUSE = 2.0


class Autosave:
    """Saves the latest of the sessions that it is offered, at most every `PAUSE` seconds.

    Parameters
    ----------
    open_folder : callable
        Gives the folder to save to; called once, in the thread.
    pause : float
        Seconds between two saves.
    """

    def __init__(self, open_folder: Callable[[], SessionFolder], pause: float = PAUSE) -> None:
        self._open_folder = open_folder
        self._pause = pause
        self._offered: Session | None = None
        self._news = threading.Condition()
        self._is_closing = False
        self.folder: SessionFolder | None = None
        #: When the last save was over; None before the first.
        self.saved_at: datetime | None = None
        #: Why the last save failed, for people; empty where it did not.
        self.fault = ""
        self._thread = threading.Thread(target=self._run, name="napari-amodal-save", daemon=True)
        self._thread.start()

    def offer(self, session: Session) -> None:
        """Have a session saved soon; returns at once. One that waits already is left out."""
        with self._news:
            self._offered = session
            self._news.notify()

    def close(self, seconds: float = 10.0) -> bool:
        """Save what waits, let go of the folder, and say whether that was done in time."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._offered is not None or self._is_closing)
                offered, self._offered = self._offered, None
                closing = self._is_closing
            if offered is not None:
                self._save(offered)
            if closing and self._offered is None:
                break
            with self._news:
                self._news.wait_for(lambda: self._is_closing, self._pause)
        if self.folder is not None:
            self.folder.close()

    def _save(self, session: Session) -> None:
        try:
            if self.folder is None:
                self.folder = self._open_folder()
            self.folder.save(session)
        except InputError as error:  # a full disk, or another process has the folder
            self.fault = str(error)
        except OSError as error:
            self.fault = f"the session could not be saved: {error.strerror or error}"
        else:
            self.fault, self.saved_at = "", datetime.now().astimezone()
