"""The hashes that go with exported networks; the loader refuses others."""

from __future__ import annotations

import hashlib
from pathlib import Path


def write_hashes(folder: Path) -> None:
    """Write ``sha256sums`` of all networks in a folder, as ``sha256sum`` does."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("*.onnx"))
    ]
    (folder / "sha256sums").write_text("".join(lines))
