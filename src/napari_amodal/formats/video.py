"""Video files, by PyAV: any frame by its number, exactly."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from napari_amodal.clip import Clip, Frame, clip_over
from napari_amodal.errors import InputError
from napari_amodal.formats.video_index import (
    decoded,
    index_by_decoding,
    index_video,
    open_stream,
    packets_of,
)

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".h264"}
    | {".h265", ".hevc", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)

#: Decoded frames that are kept, in bytes as the decoder gives them (30 frames of 1080p), so that
#: stepping backwards does not decode from the key frame on for every frame.
CACHE_BYTES = 96 << 20

#: Going on decoding is cheaper than seeking up to here, in frames.
_SHORT_WAY = 16


class VideoFile:
    """The frames of a video file; a `FrameSource`.

    Frame n is the n-th that is presented, however long each is shown; it is rotated as the file
    asks (by quarters). Reading in order decodes each frame once; reading elsewhere decodes from the
    key frame before. Files whose frames have no usable times (raw streams, B-frames in AVI) are
    decoded from their beginning for every step back that the cache does not hold.

    It can be read from any thread, and pickles as its path with what is known of its frames.

    Raises
    ------
    InputError
        It is no video or a broken one; on reading, a frame that cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index = index_video(path)
        self._reset()
        if not self._ends_well():
            self._index = index_by_decoding(path)
            self._reset()
        first = self._frame(0)
        self._coded_size = first.height, first.width
        self._quarters = round(first.rotation / 90) % 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        height, width = self._coded_size
        return self._index.count, *((width, height) if self._quarters % 2 else (height, width)), 3

    @property
    def fps(self) -> float | None:
        """Mean frames a second."""
        with self._lock:
            _, stream = self._opened()
            rate = stream.average_rate or stream.guessed_rate
        return float(rate) if rate else None

    def read(self, frame: int) -> Frame:
        with self._lock:
            found = self._cache.get(frame) or self._frame(frame)
            if (found.height, found.width) != self._coded_size:
                height, width = self._coded_size
                raise InputError(
                    f"frame {frame} of {self._path} is {found.width}x{found.height}, "
                    f"the frames are {width}x{height}: convert the video to one size"
                )
            # Within the lock: PyAV crashes where two threads convert one frame at the same time.
            rgb = found.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(rgb, self._quarters))

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_path", "_index", "_coded_size", "_quarters")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, VideoFrame] = OrderedDict()
        self._cached_bytes = 0
        self._open: tuple[InputContainer, VideoStream] | None = None
        self._coming: Iterator[VideoFrame] = iter(())
        self._next = -1  # the frame that comes next, -1 while nothing is being decoded

    def _ends_well(self) -> bool:
        """Whether the last frame can be decoded, where a cut-off one cannot be told otherwise.

        MP4 says how long its packets are; in other containers a file that was cut off while it was
        recorded ends with a broken packet like any other.
        """
        container, _ = self._opened()
        if self._index.pts is None or "mp4" in container.format.name:
            return True
        try:
            self._frame(self._index.count - 1)
        except InputError:
            return False
        return True

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._open is None:
            self._open = open_stream(self._path)
        return self._open

    def _frame(self, frame: int) -> VideoFrame:
        """Decode up to a frame, keeping those on the way as far as the cache can hold them."""
        if not self._comes_soon(frame):
            self._go_to(frame)
        for found in self._coming:
            number = self._number(found)
            if number is None:
                continue
            self._next = number + 1
            self._keep(number, found)
            if number == frame:
                return found
            if number > frame:
                break
        self._next = -1
        raise InputError(
            f"frame {frame} of {self._path} cannot be decoded: the file is damaged there or was "
            "changed since it was opened"
        )

    def _number(self, found: VideoFrame) -> int | None:
        """Which frame a decoded one is; None for one that is not presented."""
        if self._index.pts is None:
            return self._next
        if found.pts is None:
            return None
        at = int(np.searchsorted(self._index.pts, found.pts))
        return at if at < self._index.count and self._index.pts[at] == found.pts else None

    def _keep(self, number: int, found: VideoFrame) -> None:
        if number in self._cache:
            return
        self._cache[number] = found
        self._cached_bytes += _bytes_of(found)
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= _bytes_of(oldest)

    def _comes_soon(self, frame: int) -> bool:
        if self._next < 0 or frame < self._next:
            return False
        if self._index.pts is None or frame < self._next + _SHORT_WAY:
            return True
        return self._key_before(frame) == self._key_before(self._next)

    def _key_before(self, frame: int) -> int:
        """The last key frame, by its place among key frames, from which `frame` can be decoded."""
        assert self._index.pts is not None
        at = np.searchsorted(self._index.keyframes, self._index.pts[frame], side="right")
        return max(0, int(at) - 1)

    def _go_to(self, frame: int) -> None:
        """Have `_coming` begin at a key frame at or before a frame.

        Where a seek ends up depends on the container: it may be late where its index holds decoding
        times or is only an estimate. So the key frame that comes is looked at, and if it is too
        late the next try aims further back, in the end at the beginning of the file.
        """
        times = self._index.pts
        if times is not None:
            key, back = self._key_before(frame), 0
            while key - back > 0:
                if self._seek(int(self._index.keyframes[key - back]), times, frame):
                    return
                back = 2 * back + 1
        if self._open is not None:
            self._open[0].close()
            self._open = None
        container, stream = self._opened()
        self._coming = _frames(stream, packets_of(container, stream))
        self._next = 0

    def _seek(self, key: int, times: NDArray[np.int64], frame: int) -> bool:
        """Seek to the time of a key frame; whether one that is not after `frame` comes."""
        container, stream = self._opened()
        try:
            container.seek(key, stream=stream, backward=True)
        except av.FFmpegError:
            return False
        packets = packets_of(container, stream)
        for packet in packets:
            if packet is not None and packet.is_keyframe and packet.pts is not None and packet.size:
                if packet.pts > times[frame]:
                    return False
                self._coming = _frames(stream, packets, packet)
                self._next = int(np.searchsorted(times, packet.pts))
                return True
        return False


def _frames(
    stream: VideoStream,
    packets: Iterator[Packet[VideoStream] | None],
    first: Packet[VideoStream] | None = None,
) -> Iterator[VideoFrame]:
    if first is not None:
        yield from decoded(stream, first)
    for packet in packets:
        yield from decoded(stream, packet)


def _bytes_of(frame: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)


def open_video(path: Path) -> Clip:
    """A clip over a video file, named after it; only its first frame is decoded, where it can be.

    Raises
    ------
    InputError
        See `VideoFile`; `napari_amodal.formats.video_index.index_video` says when a file is decoded
        once to count its frames.
    """
    source = VideoFile(path)
    return clip_over(path.stem, source, path, source.fps)
