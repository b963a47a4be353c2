"""The fused kernels, interpreted on the CPU, against the plain layers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("diffusers", reason="the networks need napari-amodal[gpu]")
pytest.importorskip("triton", reason="the fused kernels need Triton")

from torch.nn import functional as F  # noqa: E402

from napari_amodal.tabe import fused, layers  # noqa: E402
from napari_amodal.tabe.kernels.group_norm import group_norm  # noqa: E402
from napari_amodal.tabe.kernels.layer_norm import add_norm  # noqa: E402
from napari_amodal.tabe.kernels.low_rank import add_low_rank  # noqa: E402
from napari_amodal.tabe.kernels.pointwise import gated_gelu, sum_with_bias  # noqa: E402
from napari_amodal.tabe.kernels.temporal_attention import temporal_attention  # noqa: E402
from napari_amodal.tabe.lora import Adaptation, Dropout, merge  # noqa: E402
from napari_amodal.tabe.nearest import nearest  # noqa: E402
from napari_amodal.tabe.unet import CoCoCoUNet  # noqa: E402


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True)


def assert_same(found, expected, inputs) -> None:
    """The same results, and the same gradients for a random way back."""
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    back = torch.randn_like(expected)
    for ours, plain in zip(
        torch.autograd.grad(found, inputs, back),
        torch.autograd.grad(expected, inputs, back),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("with_added", [False, True])
def test_group_norm(silu: bool, with_added: bool) -> None:
    torch.manual_seed(1)
    x, added = drawn(2, 37, 96), drawn(2, 96)
    weight, bias = torch.randn(2, 96)
    given = x + added[:, None] if with_added else x
    plain = F.group_norm(given.transpose(1, 2), 32, weight, bias, 1e-5).transpose(1, 2)
    found = group_norm(x, weight, bias, 32, 1e-5, silu=silu, added=added if with_added else None)
    inputs = [x, added] if with_added else [x]
    assert_same(found, F.silu(plain) if silu else plain, inputs)


def test_sum_and_layer_norm_and_offset() -> None:
    torch.manual_seed(2)
    x, more = drawn(2, 3, 24, 40), drawn(2, 3, 6, 40)
    weight, bias = torch.randn(2, 40)
    offset = torch.randn(3, 40)
    where = nearest((3, 2), (6, 4), torch.device("cpu"))
    total = x + more[:, :, where]
    normed = F.layer_norm(total, (40,), weight, bias, 1e-5) + offset[:, None]
    both = add_norm(x, more, weight, bias, 1e-5, offset, where)
    assert_same(torch.cat(both, -1), torch.cat([total, normed], -1), [x, more])
    plain = F.layer_norm(x, (40,), weight, bias, 1e-5)
    assert_same(add_norm(x, None, weight, bias, 1e-5)[1], plain, [x])


@pytest.mark.parametrize("frames", [3, 21])
def test_temporal_attention(frames: int) -> None:
    torch.manual_seed(3)
    qkv = drawn(2, frames, 5, 3 * 24)
    query, key, value = (
        part.permute(0, 2, 1, 3).unflatten(-1, (3, 8)).transpose(2, 3) for part in qkv.chunk(3, -1)
    )
    plain = F.scaled_dot_product_attention(query, key, value)
    plain = plain.transpose(2, 3).flatten(3).transpose(1, 2)
    assert_same(temporal_attention(qkv, 3), plain, [qkv])


def test_gated_gelu_and_the_end_of_a_residual_block() -> None:
    torch.manual_seed(4)
    both = drawn(7, 50)
    value, gate = both.chunk(2, -1)
    assert_same(gated_gelu(both), value * F.gelu(gate), [both])
    x, more, bias, more_bias = drawn(3, 5, 8), drawn(3, 5, 8), *torch.randn(2, 8)
    assert_same(sum_with_bias(x, bias, more, more_bias), x + bias + more + more_bias, [x, more])
    assert_same(sum_with_bias(x, bias, more), x + bias + more, [x, more])


def low_rank(x, downs, ups, rate: float):
    y = torch.zeros(*x.shape[:-1], sum(len(up) for up in ups))
    seed = torch.tensor([123456789012])
    return add_low_rank(y, x, seed, 4, rate, tuple(downs), tuple(ups))


def test_low_rank_products() -> None:
    torch.manual_seed(5)
    x, downs = drawn(3, 50, 70), [drawn(4, 70) for _ in range(3)]
    ups = [drawn(width, 4) for width in (6, 6, 9)]
    pairs = zip(downs, ups, strict=True)
    plain = torch.cat([x @ down.t() @ up.t() for down, up in pairs], -1)
    assert_same(low_rank(x, downs, ups, 0.0), plain, [x, *downs, *ups])


def test_dropout_drops_its_share_and_the_same_on_the_way_back() -> None:
    torch.manual_seed(6)
    x = torch.ones(1, 4000, 16, requires_grad=True)
    down, up = torch.eye(16), torch.eye(16)
    first, second = low_rank(x, [down, down], [up, up], 0.1).detach().chunk(2, -1)
    assert first.unique().tolist() == pytest.approx([0.0, 1 / 0.9])
    for found in (first, second):
        assert (found == 0).float().mean() == pytest.approx(0.1, abs=0.005)
    # Two layers drop different values: 0.1 * 0.1 of them are dropped by both.
    assert ((first == 0) & (second == 0)).float().mean() == pytest.approx(0.01, abs=0.003)
    # With the dropout fixed, the result is linear in each input: y = <dy/dinput, input>.
    x, down, up = drawn(1, 130, 70), drawn(4, 70), drawn(9, 4)
    found = low_rank(x, [down], [up], 0.3)
    back = torch.randn_like(found)
    for each, gradient in zip(
        (x, down, up), torch.autograd.grad(found, (x, down, up), back), strict=True
    ):
        torch.testing.assert_close((gradient * each).sum(), (back * found).sum())


def adapted() -> tuple[CoCoCoUNet, Adaptation]:
    """A tiny UNet whose adaptation is not zero."""
    torch.manual_seed(7)
    unet = CoCoCoUNet((32, 32), 1, 16, 2, 2)
    dropout = Dropout(0.0, torch.zeros(1, dtype=torch.long))
    names = ("to_q", "to_k", "to_v", "to_out.0")
    adaptation = Adaptation(unet, names, 4, 8.0, dropout)
    with torch.no_grad():
        adaptation.vector.add_(0.05 * torch.randn_like(adaptation.vector))
    adaptation.spread()
    return unet.train(), adaptation


def test_the_whole_network_and_its_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, masked = torch.randn(2, 1, 4, 2, 14, 14)
    given = (noisy, torch.ones(1, 1, 2, 14, 14), masked, torch.tensor(300), torch.randn(1, 5, 16))
    found = []
    for devices in (frozenset(), frozenset({"cpu"})):
        monkeypatch.setattr(fused, "FUSED_DEVICES", devices)
        unet, adaptation = adapted()
        output = unet(*given)
        (gradient,) = torch.autograd.grad(output.square().mean(), adaptation.vector)
        merge(unet)
        found.append((output.detach(), gradient, unet.eval()(*given).detach()))
    assert found[0][1].abs().max() > 1e-3
    for ours, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-4, rtol=2e-4)
    torch.testing.assert_close(found[0][2], found[0][0], atol=2e-4, rtol=2e-4)


def test_layers_take_the_kernels_where_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    norm = torch.nn.GroupNorm(8, 32).requires_grad_(False)
    maps = torch.randn(2, 32, 5, 4).contiguous(memory_format=torch.channels_last)
    plain = layers.normed_maps(norm, maps)
    monkeypatch.setattr(fused, "FUSED_DEVICES", frozenset({"cpu"}))
    torch.testing.assert_close(layers.normed_maps(norm, maps), plain)
