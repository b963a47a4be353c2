"""Loading Triton into a process that may hold another LLVM already."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec


def load_triton() -> None:
    """Load Triton, if it is installed, with its own symbols first; before anything else loads it.

    Mesa, which draws napari's window on many machines and over remote desktops, brings an LLVM of
    its own. Triton's library, loaded after it (by PyTorch, in the middle of a run), would bind to
    that one, and the whole window would crash.
    """
    if "triton" in sys.modules or not hasattr(os, "RTLD_DEEPBIND") or find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        import_module("triton")
    except ImportError:  # PyTorch does without it
        pass
    finally:
        sys.setdlopenflags(flags)
