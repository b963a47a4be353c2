"""Letting a cancel in where one step of a network takes longer than a cancel may."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def asked_often(networks: Iterable[nn.Module], check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before each product of the networks, and on the way back before its gradient.

    For devices that compute while Python waits: on a CPU, one step can take minutes.
    """

    def before(_module: nn.Module, _inputs: Any) -> None:
        check()

    def after(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda _gradient: check())

    products = [
        module
        for network in networks
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    hooks = [product.register_forward_pre_hook(before) for product in products]
    hooks += [product.register_forward_hook(after) for product in products]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
