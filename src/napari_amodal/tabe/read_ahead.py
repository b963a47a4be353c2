"""Reading the next frame of a clip while a network works on this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from napari_amodal.clip import Clip, Frame


def read_ahead(clip: Clip, frames: Iterable[int]) -> Iterator[tuple[int, Frame]]:
    """Frames of a clip with their indices, in the given order; one is read ahead."""
    with ThreadPoolExecutor(1, thread_name_prefix="frames") as reader:
        waiting: tuple[int, Future[Frame]] | None = None
        for index in frames:
            coming = index, reader.submit(clip.frame, index)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()
