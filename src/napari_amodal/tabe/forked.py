"""Work on two streams of a CUDA device at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def forked(other: torch.cuda.Stream | None) -> Iterator[None]:
    """Another stream begins where the current one is; behind the block, they are one again.

    They are joined after an error as well: a capture whose streams are not cannot be ended, and
    would keep its memory. Nothing is done where there is no other stream.
    """
    if other is None:
        yield
        return
    here = torch.cuda.current_stream(other.device)
    other.wait_stream(here)
    try:
        yield
    finally:
        here.wait_stream(other)
