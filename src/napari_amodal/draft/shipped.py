"""Opening the networks that come with the package, run by onnxruntime."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Where the networks lie; ``README.md`` there tells what each was trained on, and cannot do.
WEIGHTS = Path(__file__).parent / "weights"
#: Run there where onnxruntime has it, else on the CPU.
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def lacking(*files: str) -> tuple[str, ...]:
    """What this installation lacks to run the networks of these files, with the remedy."""
    lacks = []
    if find_spec("onnxruntime") is None:
        lacks.append("it needs onnxruntime: pip install onnxruntime")
    for name in files:
        if not (WEIGHTS / name).exists():
            lacks.append(f"its weights {name} are missing: install the package again")
    return tuple(lacks)


def open_network(path: Path) -> Any:
    """The network of an ONNX file, an ``onnxruntime.InferenceSession``.

    Raises
    ------
    RuntimeError
        The file is not the one that was shipped.
    """
    import onnxruntime  # not needed, nor loaded, until something is run

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != stored_hash(path):
        raise RuntimeError(f"{path} is not the file that was shipped: install the package again")
    options = onnxruntime.SessionOptions()
    if hasattr(os, "sched_getaffinity"):
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # threads that wait busily take the cores from the window, and from each other
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    there = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in there]
    return onnxruntime.InferenceSession(content, options, providers=providers)


def stored_hash(path: Path) -> str:
    """The sha256 that a file was shipped with, from ``sha256sums`` beside it."""
    lines = (path.parent / "sha256sums").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}[path.name]
