"""Folders of images as clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_amodal.errors import CallError, InputError
from napari_amodal.formats.images import ImageFolder, missing_file
from napari_amodal.formats.opening import open_clip

SHADES = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def save(folder: Path, name: str, pixels: np.ndarray = SHADES, **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **options)
    return folder / name


def shade(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def test_natural_order_and_names(tmp_path: Path) -> None:
    for n in (10, 2, 1, 9, 8, 7, 6, 5, 4, 3):
        save(tmp_path / "walk", f"img{n}.png", shade(n))
    (tmp_path / "walk" / "notes.txt").write_text("not a frame")
    (tmp_path / "walk" / "._img1.png").write_bytes(b"a Mac was here")
    clip = open_clip(tmp_path / "walk")
    assert [int(frame.max()) for frame in clip] == list(range(1, 11))
    assert (clip.name, clip.source, clip.fps) == ("walk", tmp_path / "walk", None)


def test_a_relative_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "walk", "0.png")
    monkeypatch.chdir(tmp_path / "walk")
    assert open_clip(".").name == "walk"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("0.png", "RGB"),
        ("0.png", "RGBA"),
        ("0.png", "P"),
        ("0.png", "1"),
        ("0.jpg", "RGB"),
        ("0.jpeg", "L"),
        ("0.jpg", "CMYK"),
        ("0.BMP", "RGB"),
        ("0.webp", "RGB"),
        ("0.tif", "RGB"),
        ("0.tiff", "L"),
        ("0.ppm", "RGB"),
    ],
)
def test_kinds_of_images(tmp_path: Path, name: str, mode: str) -> None:
    image = Image.fromarray(SHADES).convert(mode)
    image.save(tmp_path / name)
    clip = open_clip(tmp_path)
    assert clip.frames.shape == (1, 20, 30, 3)
    with Image.open(tmp_path / name) as stored:
        assert np.array_equal(clip.frame(0), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_is_scaled_by_one_range_for_the_clip(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(1000, 3000, 600).reshape(20, 30)
    for n, offset in enumerate((0, 2000)):
        save(tmp_path / "deep", f"{n}.{suffix}", (ramp + offset).astype(np.uint16))
    first, second = open_clip(tmp_path / "deep")
    assert first.min() == 0
    assert second.max() == 255
    assert abs(int(first.max()) - 127) < 3
    assert (np.diff(first[..., 0].reshape(-1).astype(int)) >= 0).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    pixels = shade(0)
    pixels[:, :15] = 255
    save(tmp_path, f"0.{suffix}", pixels, exif=exif, quality=95)
    clip = open_clip(tmp_path)
    assert clip.frames.shape == (1, 30, 20, 3)
    frame = clip.frame(0)
    assert frame[:13].min() > 230
    assert frame[17:].max() < 25


def test_another_size_is_named_on_opening(tmp_path: Path) -> None:
    for n in range(5):
        save(tmp_path / "frames", f"{n:05d}.png", SHADES[:10] if n == 3 else SHADES)
    with pytest.raises(InputError, match=r"00003\.png is 30x10, the frames are 30x20"):
        open_clip(tmp_path / "frames")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
def test_a_truncated_frame_is_named_on_opening(tmp_path: Path, suffix: str, share: float) -> None:
    for n in range(4):
        path = save(tmp_path / "frames", f"{n:05d}.{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=rf"frames/00003\.{suffix} cannot be read"):
        open_clip(tmp_path / "frames")


def test_bytes_after_the_end_of_a_frame_do_no_harm(tmp_path: Path) -> None:
    for name in ("0.jpg", "1.png"):
        path = save(tmp_path / "frames", name)
        path.write_bytes(path.read_bytes() + b"\0" * 40)
    assert len(open_clip(tmp_path / "frames")) == 2


def test_a_frame_that_breaks_later_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "frames", "0.png")
    clip = open_clip(tmp_path / "frames")
    data = bytearray(path.read_bytes())
    data[80:200] = bytes(120)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"frames/0\.png cannot be read"):
        clip.frame(0)
    save(tmp_path / "frames", "0.png", SHADES[:10])
    with pytest.raises(InputError, match=r"frames/0\.png is 30x10 now"):
        clip.frame(0)
    path.unlink()
    with pytest.raises(InputError, match=r"frames/0\.png cannot be read: No such file"):
        clip.frame(0)


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    for n in (0, 1, 2, 4, 5):
        save(tmp_path / "frames", f"{n:05d}.png")
    with pytest.raises(InputError, match=r"frames/00003\.png is missing"):
        open_clip(tmp_path / "frames")


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        (["0", "1", "2"], None),
        (["008", "009", "010", "012"], "011"),
        (["0", "5", "10", "20", "25"], "15"),
        (["a1", "a2", "a3", "a5"], "a4"),
        (["100", "170", "250", "900"], None),
        (["1", "2"], None),
        (["1", "2", "x", "9"], None),
    ],
)
def test_gaps_in_the_numbering(numbers: list[str], missing: str | None) -> None:
    found = missing_file(tuple(Path(f"{number}.jpg") for number in numbers))
    assert (found.name if found else None) == (f"{missing}.jpg" if missing else None)


def test_one_frame_in_two_files_is_named(tmp_path: Path) -> None:
    save(tmp_path / "frames", "00000.png")
    save(tmp_path / "frames", "00000.jpg")
    with pytest.raises(InputError, match=r"00000\.jpg and frames/00000\.png are one frame twice"):
        open_clip(tmp_path / "frames")


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "clip.txt").write_text("")
    with pytest.raises(InputError, match="holds no images"):
        open_clip(tmp_path)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="there is no file or folder"):
        open_clip(tmp_path / "nothing.mp4")
    with pytest.raises(InputError, match="a single image"):
        open_clip(save(tmp_path, "0.png"))
    (tmp_path / "clip.xyz").write_text("")
    with pytest.raises(InputError, match=r"clip\.xyz is nothing that can be opened"):
        open_clip(tmp_path / "clip.xyz")


def test_opening_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0.jpg", "1.png", "2.tif", "3.bmp", "4.webp"):
        save(tmp_path / "frames", name)
    monkeypatch.setattr(ImageFolder, "_decode", lambda *_: pytest.fail("decoded"))
    for kind in ("PngImagePlugin.PngImageFile", "JpegImagePlugin.JpegImageFile"):
        monkeypatch.setattr(f"PIL.{kind}.load", lambda *_: pytest.fail("decoded"))
    assert len(open_clip(tmp_path / "frames")) == 5
