"""Where the fused kernels run: on CUDA devices, where Triton can compile them."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec

from torch import Tensor


def _compiles() -> bool:
    """Whether Triton is here, and a compiler for its launchers; on Windows it brings its own."""
    compiler = os.environ.get("CC") or any(shutil.which(name) for name in ("gcc", "clang", "cc"))
    return find_spec("triton") is not None and bool(compiler or sys.platform == "win32")


#: Types of devices; others take plain PyTorch.
FUSED_DEVICES = frozenset({"cuda"} if _compiles() else ())


def fused(x: Tensor) -> bool:
    """Whether a tensor's work is done by the fused kernels."""
    return x.device.type in FUSED_DEVICES
