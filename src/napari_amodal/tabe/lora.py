"""Low-rank adaptation (LoRA, arXiv 2106.09685) of a frozen network's linear layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_amodal.tabe.fused import fused
from napari_amodal.tabe.side_by_side import joined


@dataclass(frozen=True)
class Dropout:
    """Dropout of the adapted layers' inputs, each layer with a number of its own.

    Attributes
    ----------
    rate : float
    seed : Tensor
        int64 ``(1,)``, to be changed at every step; what a CUDA device draws follows from it.
    """

    rate: float
    seed: Tensor


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained low-rank one: ``W x + b + up (down dropout(x))``.

    Attributes
    ----------
    number : int
        Tells its dropout from the others'.
    down, up : Tensor
        ``(rank, inputs)`` and ``(outputs, rank)`` in the frozen layer's dtype, the latter times
        ``alpha / rank``; `Adaptation.spread` sets them.
    """

    down: Tensor
    up: Tensor

    def __init__(self, frozen: nn.Linear, number: int, dropout: Dropout) -> None:
        super().__init__()
        self.frozen = frozen
        self.number = number
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return projected((self,), x)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen layer with the adaptation added to its weight, in place."""
        change = self.up.float() @ self.down.float()
        self.frozen.weight.copy_((self.frozen.weight.float() + change).to(self.frozen.weight.dtype))
        return self.frozen


def projected(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """What linear layers, adapted or not, make of one input: their results side by side.

    Parameters
    ----------
    x : Tensor
        ``(..., channels)``.
    """
    adapted = [layer for layer in layers if isinstance(layer, LoRALinear)]
    plain = [layer.frozen if isinstance(layer, LoRALinear) else layer for layer in layers]
    apart = any(layer.weight.requires_grad for layer in plain) or 0 < len(adapted) < len(layers)
    if apart or (adapted and not fused(x)):
        return torch.cat([_alone(layer, x) for layer in layers], -1)
    bias = plain[0].bias if len(plain) == 1 else None
    found = F.linear(x, joined([layer.weight for layer in plain]), bias)
    return _with_low_rank(adapted, found, x) if adapted else found


def _alone(layer: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(layer, LoRALinear):
        found: Tensor = layer(x)
        return found
    dropped = F.dropout(x, layer.dropout.rate) if layer.training else x
    return layer.frozen(x) + F.linear(F.linear(dropped, layer.down), layer.up)


def _with_low_rank(layers: Sequence[LoRALinear], found: Tensor, x: Tensor) -> Tensor:
    from napari_amodal.tabe.kernels.low_rank import add_low_rank

    first = layers[0]
    assert [layer.number for layer in layers] == list(
        range(first.number, first.number + len(layers))
    )
    return add_low_rank(
        found,
        x.contiguous(),
        first.dropout.seed,
        first.number,
        first.dropout.rate if first.training else 0.0,
        tuple(layer.down for layer in layers),
        tuple(layer.up for layer in layers),
    )


class Adaptation:
    """The trained part of one network: every adapted layer's two matrices, in one vector.

    One vector, since hundreds of small matrices would each be cast, clipped and stepped on their
    own. It is float32 and rounded to the network's dtype for the products.

    Parameters
    ----------
    network : nn.Module
        It is frozen; its linear layers whose path ends in one of `names` are adapted in place.
    names : sequence of str
    rank : int
    alpha : float
    dropout : Dropout
    """

    def __init__(
        self, network: nn.Module, names: Sequence[str], rank: int, alpha: float, dropout: Dropout
    ) -> None:
        network.requires_grad_(False)
        self.layers: list[LoRALinear] = []
        for number, (parent, name, layer) in enumerate(list(_linears(network, names))):
            adapted = LoRALinear(layer, number, dropout)
            parent.register_module(name, adapted)
            self.layers.append(adapted)
        frozen = [layer.frozen for layer in self.layers]
        self._shapes = [(rank, layer.in_features) for layer in frozen]
        self._shapes += [(layer.out_features, rank) for layer in frozen]
        downs, device = len(frozen), frozen[0].weight.device
        sizes = [rows * columns for rows, columns in self._shapes]
        scale = torch.ones(sum(sizes), device=device)
        scale[sum(sizes[:downs]) :] = alpha / rank
        self._scale, self._sizes = scale, sizes
        self.vector = nn.Parameter(torch.zeros(sum(sizes), device=device))
        for part, shape in list(zip(self._parts(self.vector.data), self._shapes, strict=True))[
            :downs
        ]:
            nn.init.kaiming_uniform_(part.view(shape), a=5**0.5)
        self.spread_detached()

    def _parts(self, vector: Tensor) -> Sequence[Tensor]:
        return vector.split(self._sizes)

    def spread(self) -> None:
        """Hand the layers their matrices as the vector has them now; gradients flow back to it."""
        rounded = (self.vector * self._scale).to(self.layers[0].frozen.weight.dtype)
        matrices = [
            part.view(shape) for part, shape in zip(self._parts(rounded), self._shapes, strict=True)
        ]
        half = len(self.layers)
        for layer, down, up in zip(self.layers, matrices[:half], matrices[half:], strict=True):
            layer.down, layer.up = down, up

    @torch.no_grad()
    def spread_detached(self) -> None:
        """The same for use without gradients; lets go of what an earlier step recorded."""
        self.spread()


def merge(network: nn.Module) -> None:
    """Replace every adapted layer by a plain one that computes the same (without dropout)."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                parent.register_module(name, child.merged())


def _linears(
    network: nn.Module, names: Sequence[str]
) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    endings = tuple("." + name for name in names)
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear) and ("." + path).endswith(endings):
            parent = network.get_submodule(path.rpartition(".")[0])
            yield parent, path.rpartition(".")[2], module
