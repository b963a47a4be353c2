"""The frames of a video file by number: what is known of them without decoding, where it can be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from napari_amodal.errors import InputError

#: Codecs of which every packet is one frame that is shown (VP8 marks those that are not).
_PACKET_IS_FRAME = frozenset(
    {"av1", "dnxhd", "ffv1", "ffvhuff", "gif", "h264", "hevc", "huffyuv", "mjpeg", "png", "prores"}
    | {"qtrle", "rawvideo", "utvideo", "vp8", "vp9", "wrapped_avframe"}
)


_THREADS = 4


@dataclass(frozen=True)
class VideoIndex:
    """Where the frames of a video are.

    Attributes
    ----------
    count : int
        How many frames there are.
    pts : ndarray or None
        int64 ``(T,)``: presentation time of each frame in the stream's time base, increasing. None
        where the file gives no usable times; its frames can only be counted from the start.
    keyframes : ndarray
        int64: presentation times, increasing, at which decoding can begin.
    """

    count: int
    pts: NDArray[np.int64] | None
    keyframes: NDArray[np.int64]


def open_stream(path: Path) -> tuple[InputContainer, VideoStream]:
    """The container and its first video stream, cover pictures left out.

    Raises
    ------
    InputError
        It is no video or a broken one.
    """
    try:
        # A video must not make us read other files or addresses, as play lists would.
        options = {"protocol_whitelist": "file"}
        container = av.open(str(path.resolve()), "r", options=options, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be opened as a video ({error}): it is no video or a broken one"
        ) from error
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams or streams[0].codec_context is None:
        container.close()
        raise InputError(
            f"{path} holds no video that can be decoded: it is truncated, of an unknown codec, or "
            "has sound only"
        )
    streams[0].thread_type = "AUTO"
    # Each thread keeps frames in memory, and frames are read one at a time.
    streams[0].thread_count = min(_THREADS, os.cpu_count() or 1)
    return container, streams[0]


def index_video(path: Path) -> VideoIndex:
    """Index a video by reading its packets, without decoding them.

    It is decoded once, to count, where packets are not frames for sure: where times are missing or
    doubled (raw streams, B-frames in AVI), the stream does not begin with a key frame, a packet is
    damaged or cut off (a truncated file), or the codec packs or skips frames (MPEG-1, 2 and 4 ASP,
    WMV). Packets that an edit list cuts away are no frames.

    Raises
    ------
    InputError
        There is no frame in it.
    """
    index = _index_by_packets(path) or index_by_decoding(path)
    if index.count == 0:
        raise InputError(f"{path} holds no frame that can be decoded: it is truncated or broken")
    return index


def _index_by_packets(path: Path) -> VideoIndex | None:
    """None where packets may not be the frames."""
    container, stream = open_stream(path)
    shown: list[int] = []
    keyframes: list[int] = []
    with container:
        codec = stream.codec_context.codec
        if codec.canonical_name not in _PACKET_IS_FRAME:
            return None
        if container.format.name == "avi" and not codec.intra_only:
            return None  # AVI holds no presentation times, those of the packets are made up
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.pts is None:
                    continue  # the empty packet at the end
                if packet.pts is None or packet.size == 0 or packet.is_corrupt:
                    return None
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
                if not packet.is_discard and not _is_hidden(packet, stream):
                    shown.append(packet.pts)
        except av.FFmpegError:
            return None
    pts, starts = np.sort(np.array(shown, np.int64)), np.unique(np.array(keyframes, np.int64))
    if not pts.size or not starts.size or starts[0] > pts[0] or (np.diff(pts) == 0).any():
        return None
    return VideoIndex(len(pts), pts, starts)


def _is_hidden(packet: Packet[VideoStream], stream: VideoStream) -> bool:
    """Whether a VP8 packet is only a reference for others (RFC 6386, 9.1: show_frame)."""
    if stream.codec_context.codec.canonical_name != "vp8":
        return False
    return not bytes(packet)[0] >> 4 & 1


def index_by_decoding(path: Path) -> VideoIndex:
    """Index a video by decoding all of it; what is damaged is no frame."""
    container, stream = open_stream(path)
    times: list[int | None] = []
    keyframes: list[int] = []
    timed = True
    with container:
        for packet in packets_of(container, stream):
            if packet is not None and packet.size:
                timed = timed and packet.pts is not None
                if packet.is_keyframe and packet.pts is not None:
                    keyframes.append(packet.pts)
            times.extend(frame.pts for frame in decoded(stream, packet))
        avi, reordered = container.format.name == "avi", stream.codec_context.has_b_frames
    pts = np.array([-1 if time is None else time for time in times], np.int64)
    starts = np.unique(np.array(keyframes, np.int64))
    # Times that the decoder had to guess change with the place where decoding begins.
    timed = (
        timed
        and not (avi and reordered)
        and None not in times
        and bool((np.diff(pts) > 0).all())
        and starts.size > 0
    )
    return VideoIndex(len(pts), pts if timed else None, starts)


def packets_of(
    container: InputContainer, stream: VideoStream
) -> Iterator[Packet[VideoStream] | None]:
    """The packets from where the container stands to the end, or to where it is broken off.

    The last is empty, or None: it makes the decoder give what it still holds.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            yield None
            return
        yield packet


def decoded(stream: VideoStream, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
    """The frames that a packet completes; none where it is damaged."""
    try:
        return stream.decode(packet)
    except av.FFmpegError:
        return []
