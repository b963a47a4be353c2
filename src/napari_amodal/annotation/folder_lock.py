"""Keeping a folder to one process; the system lets go of it when the process ends, however."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from napari_amodal.errors import CallError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FolderLock:
    """A folder that is kept from other processes until `release`.

    Raises
    ------
    CallError
        Another process (or this one, a second time) holds it.
    """

    NAME = ".lock"

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / self.NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise CallError(
                f"{folder} is open in another window: close it there, or work on there"
            ) from error

    def release(self) -> None:
        """Let others have the folder; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
