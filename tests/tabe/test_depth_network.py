"""Depth Anything V2, on a small network with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sam2 import moving_disc

from napari_amodal.clip import clip_from_array
from napari_amodal.errors import Cancelled, InputError
from napari_amodal.progress import Watch

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("transformers", reason="the networks need napari-amodal[gpu]")


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of Depth Anything V2's layout, in the files of the real one."""
    from tiny import write_depth

    return write_depth(tmp_path_factory.mktemp("weights") / "depth")


def model_of(weights: Path, batch: int):
    from napari_amodal.tabe.depth import DepthModel

    return DepthModel(weights, torch.device("cpu"), batch)


def test_a_batch_gives_the_maps_of_each_frame_alone(weights):
    frames = moving_disc(5)
    alone = list(model_of(weights, 1).maps(frames))
    together = list(model_of(weights, 3).maps(frames))
    assert len(together) == 5
    for one, other in zip(alone, together, strict=True):
        assert one.dtype == np.uint8 and one.shape == (48, 64)
        assert one.min() == 0 and one.max() == 255
        # Sums of a batch may differ in the last bit.
        assert np.abs(one.astype(int) - other).max() <= 1
    assert (alone[0] != alone[4]).any()


def test_maps_are_those_of_the_network_itself(weights):
    """Transformers' own model on a frame prepared with Pillow, in place of this module's steps."""
    from PIL import Image
    from transformers import DepthAnythingForDepthEstimation

    frame = moving_disc(1, 60, 90)[0]
    resized = Image.fromarray(frame).resize((90 * 518 // 60 // 14 * 14 + 14, 518), Image.BICUBIC)
    assert resized.size == (784, 518)  # 777 rounded to 56 patches (55.5 goes to the even number)
    pixels = (np.asarray(resized) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    given = torch.from_numpy(pixels).float().permute(2, 0, 1)[None]
    network = DepthAnythingForDepthEstimation.from_pretrained(weights).eval()
    with torch.inference_mode():
        depth = network(pixel_values=given).predicted_depth
    depth = torch.nn.functional.interpolate(
        depth[None], (60, 90), mode="bilinear", align_corners=True
    )[0, 0].numpy()
    expected = (depth - depth.min()) / (depth.max() - depth.min()) * 255
    found = next(model_of(weights, 2).maps([frame]))
    # Pillow rounds the resized picture to whole levels.
    assert np.abs(found - expected).mean() < 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((720, 1280), (518, 924)),
        ((1080, 1920), (518, 924)),
        ((1920, 1080), (924, 518)),
        ((360, 640), (518, 924)),
        ((518, 518), (518, 518)),
        ((480, 640), (518, 686)),
    ],
)
def test_sizes_keep_the_shape_and_fill_whole_patches(size, expected):
    from napari_amodal.tabe.depth import network_size

    assert network_size(*size) == expected


def test_a_frame_without_depth_is_flat(weights):
    from napari_amodal.tabe.depth import _scaled

    assert (_scaled(torch.full((1, 4, 5), 7.0)) == 0).all()


def test_frames_are_read_as_they_are_needed(weights):
    read = 0

    def frames():
        nonlocal read
        for frame in moving_disc(12):
            read += 1
            yield frame

    maps = model_of(weights, 2).maps(frames())
    next(maps)
    assert read == 2


def test_a_clip_gives_one_map_a_frame_and_asks_whether_to_stop(weights):
    from napari_amodal.tabe.depth import DepthNetwork

    clip = clip_from_array(moving_disc(5))
    source = DepthNetwork(model_of(weights, 2))
    assert len(list(source.maps(clip, Watch()))) == 5
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(Cancelled):
        list(source.maps(clip, Watch(is_cancelled=cancelled)))
    assert asked == 3


def test_weights_that_are_not_whole_are_refused(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(InputError, match="cannot be loaded as Depth Anything"):
        model_of(tmp_path, 1)
    (tmp_path / "config.json").write_bytes((weights / "config.json").read_bytes())
    tensors = load_file(weights / "model.safetensors")
    del tensors["head.conv3.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks head\.conv3\.bias"):
        model_of(tmp_path, 1)


def test_with_little_memory_frames_go_one_by_one(weights, monkeypatch):
    from napari_amodal.tabe.depth import DepthModel

    frames = moving_disc(5)
    expected = list(model_of(weights, 1).maps(frames))
    model, real, sizes = model_of(weights, 3), DepthModel._depth, []

    def short(self, group):
        sizes.append(len(group))
        if len(group) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, group)

    monkeypatch.setattr(DepthModel, "_depth", short)
    found = list(model.maps(frames))
    assert sizes == [3, 1, 1, 1, 1, 1]
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


def test_memory_that_does_not_do_is_told_in_numbers(weights, monkeypatch):
    from napari_amodal.tabe.depth import DepthModel

    def short(self, group):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(DepthModel, "_depth", short)
    with pytest.raises(InputError, match=r"finding the depth .* 2\.00 GiB more were needed"):
        list(model_of(weights, 3).maps(moving_disc(5)))
