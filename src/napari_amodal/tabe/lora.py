"""Low-rank adaptation (LoRA, arXiv 2106.09685) of a frozen network's linear layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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

    def __call__(self, x: Tensor, number: int) -> Tensor:
        if x.is_cuda:
            from napari_amodal.tabe.kernels import dropout

            return dropout(x, self.seed, number, self.rate)
        return F.dropout(x, self.rate)


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained low-rank one: ``W x + b + alpha / rank * B A drop(x)``.

    The trained matrices are float32; they are rounded to the input's dtype for the product, so that
    a frozen bfloat16 network keeps bfloat16 activations.
    """

    def __init__(
        self, frozen: nn.Linear, rank: int, alpha: float, dropout: Dropout, number: int
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.number = number
        self.scale = alpha / rank
        self.dropout = dropout
        device = frozen.weight.device
        self.lora_a = nn.Parameter(torch.empty(rank, frozen.in_features, device=device))
        self.lora_b = nn.Parameter(torch.zeros(frozen.out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        dropped = self.dropout(x, self.number) if self.training else x
        low = F.linear(dropped, self.lora_a.to(x.dtype))
        return self.frozen(x) + F.linear(low, (self.scale * self.lora_b).to(x.dtype))

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen layer with the adaptation added to its weight, in place."""
        change = self.scale * self.lora_b @ self.lora_a
        self.frozen.weight.copy_((self.frozen.weight.float() + change).to(self.frozen.weight.dtype))
        return self.frozen


def adapt(
    network: nn.Module, names: Sequence[str], rank: int, alpha: float, dropout: Dropout
) -> list[nn.Parameter]:
    """Freeze a network and adapt its linear layers whose path ends in one of `names`.

    Returns
    -------
    list of Parameter
        What is to be trained.
    """
    network.requires_grad_(False)
    trained: list[nn.Parameter] = []
    for number, (parent, name, layer) in enumerate(list(_linears(network, names))):
        adapted = LoRALinear(layer, rank, alpha, dropout, number)
        parent.register_module(name, adapted)
        trained += [adapted.lora_a, adapted.lora_b]
    return trained


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
