"""Waiting for work that cannot be stopped itself, such as importing or reading a network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

#: How often a cancel is asked for meanwhile, in seconds.
_PATIENCE = 0.2


def interruptible(work: Callable[[], T], check: Callable[[], None]) -> T:
    """The result of `work`, which runs in a thread; what `check` raises ends the waiting.

    The thread is left to itself then: it does not keep the program from ending.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # whoever waits is to hear of it, whatever it is
            outcome.set_exception(error)

    Thread(target=run, name="loading", daemon=True).start()
    while not wait([outcome], timeout=_PATIENCE).done:
        check()
    return outcome.result()
