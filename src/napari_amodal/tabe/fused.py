"""Where the fused kernels run: on CUDA devices, where Triton is installed."""

from __future__ import annotations

from importlib.util import find_spec

from torch import Tensor

#: Types of devices; others, and Windows without Triton, take plain PyTorch.
FUSED_DEVICES = frozenset({"cuda"} if find_spec("triton") else ())


def fused(x: Tensor) -> bool:
    """Whether a tensor's work is done by the fused kernels."""
    return x.device.type in FUSED_DEVICES
