"""TIFF stacks of all kinds as clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_amodal.errors import InputError
from napari_amodal.formats.opening import open_clip

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 20, 30), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 20, 30, 3), np.uint8)
RGBA = np.concatenate([COLOUR, COLOUR[..., :1]], axis=3)
CHANNELS_SECOND = np.ascontiguousarray(np.moveaxis(COLOUR, 3, 1))
CHANNELS_FIRST = np.ascontiguousarray(np.moveaxis(COLOUR, 3, 0))
OF_GREY = np.repeat(GREY[..., np.newaxis], 3, axis=3)

KINDS: list[tuple[str, np.ndarray, dict[str, Any], np.ndarray]] = [
    ("grey", GREY, {}, OF_GREY),
    ("plain pages", GREY, {"metadata": None}, OF_GREY),
    ("deflate", GREY, {"compression": "zlib", "metadata": None}, OF_GREY),
    ("tiles", GREY, {"tile": (16, 16)}, OF_GREY),
    ("white is zero", ~GREY, {"photometric": "miniswhite"}, OF_GREY),
    ("ImageJ over time", GREY, {"imagej": True, "metadata": {"axes": "TYX"}}, OF_GREY),
    ("ImageJ slices", GREY, {"imagej": True, "metadata": {"axes": "ZYX"}}, OF_GREY),
    ("RGB", COLOUR, {"photometric": "rgb"}, COLOUR),
    ("RGBA", RGBA, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, COLOUR),
    ("planes", CHANNELS_SECOND, {"photometric": "rgb", "planarconfig": "separate"}, COLOUR),
    ("channels", CHANNELS_SECOND, {"imagej": True, "metadata": {"axes": "TCYX"}}, COLOUR),
    ("OME", CHANNELS_FIRST, {"ome": True, "metadata": {"axes": "CTYX"}}, COLOUR),
    ("BigTIFF", COLOUR, {"bigtiff": True, "photometric": "rgb", "byteorder": ">"}, COLOUR),
    ("one page", COLOUR[0], {"photometric": "rgb"}, COLOUR[:1]),
]


@pytest.mark.parametrize(
    ("pixels", "how", "frames"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS]
)
def test_8_bit_stays_as_it_is(
    tmp_path: Path, pixels: np.ndarray, how: dict[str, Any], frames: np.ndarray
) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pixels, **how)
    clip = open_clip(path)
    assert (clip.name, clip.source, clip.fps) == ("stack", path, None)
    assert clip.frames.chunksize == (1, 20, 30, 3)
    assert np.array_equal(np.asarray(clip.frames), frames)
    assert np.array_equal(clip.frame(len(clip) - 1), frames[-1])


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("RGB", "tiff_lzw"), ("L", "tiff_lzw"), ("RGB", "jpeg"), ("P", None), ("CMYK", None)],
)
def test_what_pillow_writes(tmp_path: Path, mode: str, compression: str | None) -> None:
    pages = [Image.fromarray(frame).convert(mode) for frame in COLOUR]
    path = tmp_path / "stack.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    clip = open_clip(path)
    with Image.open(path) as stored:
        for n, frame in enumerate(clip):
            stored.seek(n)
            assert np.array_equal(frame, np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deeper_values_share_one_range(tmp_path: Path, dtype: type, order: str) -> None:
    ramp = np.arange(5 * 600).reshape(5, 20, 30)
    tifffile.imwrite(tmp_path / "deep.tif", (ramp * 7 + 100).astype(dtype), byteorder=order)
    frames = np.asarray(open_clip(tmp_path / "deep.tif").frames)[..., 0].astype(float)
    expected = 255 * ramp / ramp.max()
    assert np.abs(frames - expected).max() <= 1.5
    assert frames.min() == 0
    assert frames.max() == 255


def test_one_bit(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "bits.tif", GREY > 100, photometric="minisblack")
    frames = np.asarray(open_clip(tmp_path / "bits.tif").frames)
    assert np.array_equal(frames[..., 1], np.where(GREY > 100, 255, 0))


def test_a_stack_in_one_page_is_read_in_pieces(tmp_path: Path) -> None:
    # ImageJ above 4 GB: one page, and all the planes one after the other behind it.
    tifffile.imwrite(tmp_path / "long.tif", GREY, imagej=True, truncate=True)
    with tifffile.TiffFile(tmp_path / "long.tif") as file:
        assert len(file.pages) == 1
    assert np.array_equal(np.asarray(open_clip(tmp_path / "long.tif").frames), OF_GREY)


@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 3, 4, 20, 30), "TZCYX"), ((5, 2, 20, 30), "TCYX")]
)
def test_too_many_axes_are_named(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    path = tmp_path / "hyper.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), imagej=True, metadata={"axes": axes})
    with pytest.raises(InputError, match=rf"hyper\.tif has the axes {axes}"):
        open_clip(path)


def test_a_page_of_another_size_is_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY[0]), Image.fromarray(GREY[1]), Image.fromarray(GREY[2][:10])]
    pages[0].save(tmp_path / "mixed.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"page 2 of .*mixed\.tif is 30x10"):
        open_clip(tmp_path / "mixed.tif")


@pytest.mark.parametrize("how", [{}, {"metadata": None}, {"compression": "zlib"}])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, how: dict[str, Any], share: float) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, GREY, **how)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"cut\.tif"):
        open_clip(path)
