"""Videos made for tests: every frame shows its number."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BLOCK = 16
BITS = 8
SIZE = (2 * BLOCK, BITS * BLOCK)


def numbered(number: int) -> NDArray[np.uint8]:
    """A frame (32, 128, 3) whose top row of blocks holds the bits of its number."""
    frame = np.full((*SIZE, 3), 120, np.uint8)
    for bit in range(BITS):
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    return frame


def number_of(frame: NDArray[np.uint8]) -> int:
    """Which frame it is."""
    assert frame.shape == (*SIZE, 3)
    centres = frame[BLOCK // 2, BLOCK // 2 :: BLOCK, 1]
    return sum(int(value > 120) << bit for bit, value in enumerate(centres))


def write_video(
    path: Path,
    count: int = 40,
    codec: str = "libx264",
    *,
    times: Iterable[int] | None = None,
    container_options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    format: str | None = None,  # noqa: A002
    **options: Any,
) -> Path:
    """Write numbered frames at 25 a second, or at the given times (in 1/25 s)."""
    with av.open(str(path), "w", format=format, options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=25, options={k: str(v) for k, v in options.items()})
        stream.height, stream.width, stream.pix_fmt = *SIZE, pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time in zip(range(count), times or range(count), strict=False):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
