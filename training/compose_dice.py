"""Lots for a batch of composed clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

#: Layers from the back to the front: background, two behind, the object, two in front.
LAYERS, TARGET = 6, 3


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """A tensor that stays on the card: a CUDA graph may not copy one there."""
    return torch.tensor(values, device=device)


@dataclass(frozen=True)
class Dice:
    """Draws lots on the card, for so many clips of so many frames."""

    batch: int
    length: int
    device: torch.device

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device)

    def chance(self, chances: tuple[float, ...]) -> Tensor:
        """A bool ``(B, L)``, each layer with its own chance."""
        return self.uniform(self.batch, LAYERS) < constant(chances, self.device)
