"""Letting a cancel in where a network works or loads for longer than a cancel may take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")

#: How often a cancel is asked for while something loads, in seconds.
_PATIENCE = 0.2


def interruptible(work: Callable[[], T], check: Callable[[], None]) -> T:
    """The result of work that cannot be stopped itself, such as reading a network.

    It runs in a thread, which is left alone to its end when `check` raises.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="loading")
    try:
        coming = thread.submit(work)
        while True:
            try:
                return coming.result(timeout=_PATIENCE)
            except TimeoutError:
                if coming.done():  # the work's own
                    raise
                check()
    finally:
        thread.shutdown(wait=False)


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
