"""Any frame of any video by its number, exactly."""

from __future__ import annotations

import pickle
import random
import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from videos import SIZE, number_of, numbered, write_video

from napari_amodal.errors import InputError
from napari_amodal.formats import video, video_index
from napari_amodal.formats.opening import open_clip
from napari_amodal.formats.video import VideoFile

GOP = {"g": 12, "bf": 3}

#: File, how it is written, and whether its packets are known to be its frames without decoding.
KINDS: list[tuple[str, dict[str, Any], bool]] = [
    ("b_frames.mp4", GOP, True),
    ("open_gop.mp4", {"g": 10, "bf": 3, "x264-params": "open-gop=1:scenecut=0"}, True),
    ("quick.mov", {**GOP, "container_options": {"movflags": "faststart"}}, True),
    ("pieces.mp4", {**GOP, "container_options": {"movflags": "frag_keyframe+empty_moov"}}, True),
    ("matroska.mkv", GOP, True),
    ("transport.ts", GOP, True),
    ("flash.flv", GOP, True),
    ("h264.avi", GOP, False),
    ("raw.h264", {**GOP, "format": "h264"}, False),
    ("asp.avi", {**GOP, "codec": "mpeg4"}, False),
    ("mpeg2.mpg", {**GOP, "codec": "mpeg2video"}, False),
    ("vp8.webm", {"codec": "libvpx", "g": 12, "auto-alt-ref": 1, "lag-in-frames": 16}, True),
    ("vp9.webm", {"codec": "libvpx-vp9", "g": 12, "auto-alt-ref": 1, "lag-in-frames": 16}, True),
    ("mjpeg.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, True),
    ("animation.gif", {"codec": "gif", "pix_fmt": "rgb8"}, True),
]


@pytest.mark.parametrize(("name", "how", "by_packets"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_frame_in_any_order(
    tmp_path: Path, name: str, how: dict[str, Any], by_packets: bool
) -> None:
    path = write_video(tmp_path / name, **how)
    if by_packets:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(video_index, "index_by_decoding", lambda path: pytest.fail("decoded"))
            video_index.index_video(path)
    clip = open_clip(path)
    assert clip.name == path.stem
    assert clip.source == path
    assert clip.fps == pytest.approx(25)
    assert clip.frames.shape == (40, *SIZE, 3)
    assert [number_of(frame) for frame in clip] == list(range(40))
    jumps = random.Random(name).choices(range(40), k=40)
    assert [number_of(clip.frame(n)) for n in jumps] == jumps
    backwards = range(39, -1, -1)
    assert [number_of(open_clip(path).frame(n)) for n in (39, 0, 20)] == [39, 0, 20]
    assert [number_of(clip.frame(n)) for n in backwards] == list(backwards)


def test_small_cache_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "CACHE_BYTES", 3 * 32 * 128 * 2)
    clip = open_clip(write_video(tmp_path / "clip.mp4", **GOP))
    order = [*range(39, -1, -1), *range(40), 7, 6, 38, 5]
    assert [number_of(clip.frame(n)) for n in order] == order


def test_stepping_back_decodes_a_group_once(tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "clip.mp4", g=40, bf=0))
    calls = []
    decode = source._frame

    def counted(frame: int) -> av.VideoFrame:
        calls.append(frame)
        return decode(frame)

    source._frame = counted  # type: ignore[method-assign]
    for n in range(39, -1, -1):
        assert number_of(source.read(n)) == n
    assert calls == [39]


def test_variable_frame_rate_counts_frames(tmp_path: Path) -> None:
    times = [n * n // 3 + n for n in range(40)]
    clip = open_clip(write_video(tmp_path / "slow.mp4", times=times, **GOP))
    assert len(clip) == 40
    assert [number_of(clip.frame(n)) for n in (0, 39, 5, 20)] == [0, 39, 5, 20]
    assert clip.fps == pytest.approx(40 / (times[-1] / 25), rel=0.15)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, rotation: int) -> None:
    clip = open_clip(write_video(tmp_path / "turned.mp4", rotation=rotation))
    upright = np.rot90(clip.frame(5), -rotation // 90)
    assert clip.frame(5).shape == clip.frames.shape[1:]
    assert number_of(upright) == 5


def with_edit_list(path: Path, first: int, count: int) -> Path:
    """Let the edit list of an MP4 show some frames (a frame is 512 ticks and 40 ms)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    (start,) = struct.unpack(">I", data[at + 4 : at + 8])
    data[at : at + 8] = struct.pack(">II", 40 * count, start + 512 * first)
    path.write_bytes(data)
    return path


def test_frames_that_an_edit_list_cuts_are_none(tmp_path: Path) -> None:
    clip = open_clip(with_edit_list(write_video(tmp_path / "cut.mp4", **GOP), 5, 20))
    assert [number_of(frame) for frame in clip] == list(range(5, 25))
    assert [number_of(clip.frame(n)) for n in (19, 0, 10)] == [24, 5, 15]


def test_a_stream_that_begins_without_a_key_frame(tmp_path: Path) -> None:
    whole, cut = write_video(tmp_path / "whole.mkv", **GOP), tmp_path / "cut.mkv"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and n >= 5:
                packet.stream = stream
                out.mux(packet)
    clip = open_clip(cut)
    assert [number_of(frame) for frame in clip] == list(range(12, 40))
    assert number_of(clip.frame(3)) == 15


def noisy_video(path: Path, **how: Any) -> Path:
    """Frames that do not compress, so that a part of the file is a part of the frames."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=how.pop("container_options", {})) as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for n in range(40):
            noise = rng.integers(0, 256, (*SIZE, 3), np.uint8)
            noise[:16] = numbered(n)[:16]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts", "cut.mp4"])
@pytest.mark.parametrize("share", [0.5, 0.73])
def test_a_truncated_video_has_the_frames_that_are_there(
    tmp_path: Path, name: str, share: float
) -> None:
    path = noisy_video(tmp_path / name, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    clip = open_clip(path)
    assert 0.8 * share * 40 <= len(clip) < share * 40 + 3
    seen = [number_of(frame) for frame in clip]
    assert seen[:-1] == list(range(len(clip) - 1))  # of the last one a part may be missing
    assert number_of(clip.frame(3)) == 3


def test_a_truncated_mp4_without_its_index_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(InputError, match=r"cut\.mp4.*(broken|truncated)"):
        open_clip(path)


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50, b"#EXTM3U\n/etc/passwd\n"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.ts", "clip.y4m", "clip.h264"])
def test_what_is_no_video_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        open_clip(path)


def test_a_play_list_does_not_open_other_files(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.ts")
    path = tmp_path / "list.ts"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.6,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(InputError, match=r"list\.ts"):
        open_clip(path)


def test_sound_only_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        sound.rate, sound.pts, sound.time_base = 44100, 0, Fraction(1, 44100)
        out.mux(stream.encode(sound))
        out.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds no video"):
        open_clip(path)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    assert len(open_clip(write_video(tmp_path / "one.mp4", 1))) == 1


def test_reading_from_several_threads(tmp_path: Path) -> None:
    clip = open_clip(write_video(tmp_path / "clip.mp4", **GOP))
    # Mostly frames that are there already: two threads convert one at the same time.
    order = [20] * 100 + random.Random(0).choices(range(40), k=80) + [3] * 300
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: number_of(clip.frame(n)), order)) == order


def test_a_source_pickles(tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "clip.mp4", rotation=90, **GOP))
    source.read(20)
    again = pickle.loads(pickle.dumps(source))
    assert again.shape == source.shape
    assert np.array_equal(again.read(17), source.read(17))


def test_frames_are_the_callers_own(tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "clip.mp4"))
    source.read(3)[:] = 0
    assert number_of(source.read(3)) == 3
