"""Triton is loaded after the window is drawn, and nothing crashes (Mesa has an LLVM, too)."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="comes with PyTorch's builds for CUDA")

CODE = """
import threading, napari, numpy as np
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.add_image(np.zeros((4, 50, 50)))
for _ in range(20):
    QApplication.processEvents()
viewer.screenshot(canvas_only=False)
from napari_amodal.tabe.triton_loading import load_triton
thread = threading.Thread(target=load_triton)
thread.start()
thread.join()
import sys, os
print("triton" in sys.modules, flush=True)
os._exit(0)
"""


def test_it_does_not_crash() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "True", done.stderr
