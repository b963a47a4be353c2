"""Cutting a clip into chunks that the video model can hold (TABE; reference page, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from napari_amodal.levels import OcclusionLevel

#: A clip up to this long is one chunk.
ONE_CHUNK = 35
#: Unoccluded frames in a row that end a chunk.
UNOCCLUDED_RUN = 14
#: Chunks are padded towards this length with unoccluded neighbours, half on each side.
PADDED = 30
#: Neighbours are merged while their lengths add up to no more than this.
MERGED = 31
#: Longest chunk that the temporal position encoding holds (CoCoCo).
LONGEST = 64
#: Frames that the parts of a longer chunk share, at least: what was generated carries over.
OVERLAP = 14


def chunks_of(levels: Sequence[OcclusionLevel]) -> tuple[range, ...]:
    """Cut a clip into overlapping chunks of frames.

    Parameters
    ----------
    levels : sequence of OcclusionLevel
        One a frame.

    Returns
    -------
    tuple of range
        In order; together they hold every frame. None is longer than `LONGEST`: where the object is
        hidden for longer than that (which the published code refuses), the chunk is parted into
        stretches that share `OVERLAP` frames or more.
    """
    clear = [level is OcclusionLevel.NO_OCCLUSION for level in levels]
    if len(clear) <= ONE_CHUNK:
        return (range(len(clear)),) if clear else ()
    padded = [_padded(chunk, clear) for chunk in _cut(clear)]
    return tuple(part for chunk in _merged(padded) for part in _parted(chunk))


def _cut(clear: Sequence[bool]) -> Iterator[range]:
    """Cut at the first clear frame after a hidden one (it is in both chunks), or in a clear run."""
    start, run = 0, int(clear[0])
    for frame, (before, now) in enumerate(pairwise(clear), 1):
        if now and not before:
            yield range(start, frame + 1)
            start, run = frame, 1
        elif now and run >= UNOCCLUDED_RUN:
            yield range(start, frame)
            start, run = frame, 1
        else:
            run = run + 1 if now else 0
    yield range(start, len(clear))


def _padded(chunk: range, clear: Sequence[bool]) -> range:
    margin = max(0, (PADDED - len(chunk)) // 2)
    first, stop = chunk.start, chunk.stop
    while first > max(0, chunk.start - margin) and clear[first - 1]:
        first -= 1
    while stop < min(len(clear), chunk.stop + margin) and clear[stop]:
        stop += 1
    return range(first, stop)


def _merged(chunks: Sequence[range]) -> list[range]:
    merged = [chunks[0]]
    for chunk in chunks[1:]:
        last = merged[-1]
        if len(last) + len(chunk) <= MERGED:
            merged[-1] = range(last.start, max(last.stop, chunk.stop))
        else:
            merged.append(chunk)
    return merged


def _parted(chunk: range) -> Iterator[range]:
    """Part a chunk that is too long into equally long stretches."""
    if len(chunk) <= LONGEST:
        yield chunk
        return
    parts = -(-(len(chunk) - OVERLAP) // (LONGEST - OVERLAP))
    length = -(-(len(chunk) + (parts - 1) * OVERLAP) // parts)
    for part in range(parts):
        start = chunk.start + round(part * (len(chunk) - length) / (parts - 1))
        yield range(start, start + length)
