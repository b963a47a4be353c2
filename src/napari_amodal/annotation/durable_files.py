"""Files that are on the disk when writing them is over, whatever happens to the machine."""

from __future__ import annotations

import os
from pathlib import Path


def new_file(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; its name is safe after `flush_folder`."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside, make sure that it is on the disk, and put it in place in one step."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    if os.name != "posix":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
