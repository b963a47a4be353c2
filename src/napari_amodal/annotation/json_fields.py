"""Reading fields of a JSON object that may come from anybody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from napari_amodal.errors import InputError


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object; a field that is not what it should be is named.

    Parameters
    ----------
    data : mapping
    where : str
        What the object is, for messages: ``states/000012.json, object 1``.
    """

    data: Mapping[str, Any]
    where: str

    def fault(self, name: str, what: str) -> NoReturn:
        """Raise `InputError`: the field `name` should be `what`."""
        raise InputError(f'{self.where}: "{name}" is not {what}')

    def text(self, name: str) -> str:
        value = self.data.get(name)
        return value if isinstance(value, str) else self.fault(name, "a text")

    def flag(self, name: str) -> bool:
        value = self.data.get(name)
        return value if isinstance(value, bool) else self.fault(name, "true or false")

    def whole(self, name: str, least: int = 0) -> int:
        value = self.data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**53:
            self.fault(name, f"a whole number from {least} on")
        return value

    def number(self, name: str) -> float:
        return self._number(name, self.data.get(name))

    def _number(self, name: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > 1e300:
            self.fault(name, "a number")
        return float(value) if math.isfinite(value) else self.fault(name, "a number")

    def inner(self, name: str) -> Fields:
        return self._inner(name, self.data.get(name), f"{self.where}, {name}")

    def _inner(self, name: str, value: object, where: str) -> Fields:
        return Fields(value, where) if isinstance(value, dict) else self.fault(name, "an object")

    def entries(self, name: str) -> list[Any]:
        value = self.data.get(name)
        return value if isinstance(value, list) else self.fault(name, "a list")

    def objects(self, name: str) -> list[Fields]:
        where = f"{self.where}, {name}"
        return [
            self._inner(name, value, f"{where} {at}") for at, value in enumerate(self.entries(name))
        ]

    def numbers(self, name: str) -> tuple[float, ...]:
        return tuple(self._number(name, value) for value in self.entries(name))

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.entries(name)
        if not all(isinstance(value, str) for value in values):
            self.fault(name, "a list of texts")
        return tuple(values)

    def frames(self, name: str, count: int) -> frozenset[int]:
        """A set of frames of a clip of `count`."""
        return frozenset(self._frame(name, value, count) for value in self.entries(name))

    def _frame(self, name: str, value: object, count: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
            self.fault(name, f"about frames 0 to {count - 1}")
        return value

    def by_frame(self, name: str, count: int) -> dict[int, Any]:
        """An object whose keys are frames of a clip of `count`."""
        data = self.inner(name).data
        if not all(key.isascii() and key.isdigit() and len(key) < 10 for key in data):
            self.fault(name, f"about frames 0 to {count - 1}")
        return {self._frame(name, int(key), count): value for key, value in data.items()}

    def runs(self, name: str, count: int) -> tuple[Any, ...]:
        """`count` values, written as ``[[value, how often], ...]``."""
        values: list[Any] = []
        for run in self.entries(name):
            if not isinstance(run, list) or len(run) != 2 or not isinstance(run[1], int):
                self.fault(name, "a list of [value, count]")
            if not 0 < run[1] <= count - len(values):
                self.fault(name, f"about {count} frames")
            values.extend([run[0]] * run[1])
        return tuple(values) if len(values) == count else self.fault(name, f"about {count} frames")


def runs_of(values: tuple[Any, ...]) -> list[list[Any]]:
    """Values as ``[[value, how often], ...]``."""
    runs: list[list[Any]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return runs
