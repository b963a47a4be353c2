"""Reading a large JSON file piece by piece.

Datasets in JSON are one object with long lists in it: hundreds of megabytes that would be gigabytes
in memory. Here each element of those lists is decoded on its own, in one pass, by the decoder of
the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from napari_amodal.errors import InputError
from napari_amodal.formats.images import shown

_CHUNK = 1 << 20

#: The largest element that is read, in characters; a clip of BURST has some 100,000.
_LARGEST = 1 << 28

#: An error so near to the end of what was read may come from that end.
_NEAR = 32


@dataclass(frozen=True, slots=True)
class JsonItem:
    """One element of a list, or one value that is no list, of the object that a file holds.

    Attributes
    ----------
    key : str
        Of the list or the value.
    value : object
    text : str
        The value as it stands in the file.
    """

    key: str
    value: Any
    text: str


def json_items(path: Path) -> Iterator[JsonItem]:
    """The elements of all lists at the top of a JSON file, and the values that are no lists.

    Raises
    ------
    InputError
        It cannot be read, is not JSON, or holds no object.
    """
    if not path.is_file():
        raise InputError(f"{shown(path)} is no regular file")
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _items(_Reader(file))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise InputError(f"{shown(path)} is nested too deeply to be a dataset") from error
    except ValueError as error:  # of JSON, of UTF-8, of a number of thousands of digits
        raise InputError(f"{shown(path)} is no JSON that can be read ({error})") from error


def _items(reader: _Reader) -> Iterator[JsonItem]:
    reader.take("{")
    if reader.peek() == "}":
        return
    while True:
        key, _ = reader.value()
        if not isinstance(key, str):
            raise ValueError("a key is no text")
        reader.take(":")
        if reader.peek() == "[":
            for value, text in _elements(reader):
                yield JsonItem(key, value, text)
        else:
            yield JsonItem(key, *reader.value())
        if reader.take(",}") == "}":
            return


def _elements(reader: _Reader) -> Iterator[tuple[Any, str]]:
    reader.take("[")
    if reader.peek() == "]":
        reader.take("]")
        return
    while True:
        yield reader.value()
        if reader.take(",]") == "]":
            return


class _Reader:
    """A text of which a part is held."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in " \t\r\n":
                    return self._held[self._at]
                self._at += 1
            if not self._read_on():
                return ""

    def take(self, one_of: str) -> str:
        """Step over the next character, which is to be one of these."""
        found = self.peek()
        if not found or found not in one_of:
            wanted = " or ".join(repr(character) for character in one_of)
            raise ValueError(f"{found!r} where {wanted} should be" if found else "it ends early")
        self._at += 1
        return found

    def value(self) -> tuple[Any, str]:
        """The next value, and its text."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated")
                if not cut_off and error.pos < len(self._held) - _NEAR:
                    raise
                if not self._read_on():
                    raise
                continue
            if end == len(self._held) and self._read_on():
                continue  # a number may go on
            text = self._held[self._at : end]
            self._at = end
            return value, text

    def _read_on(self) -> bool:
        """Hold more of the text; False at its end."""
        if self._ended:
            return False
        left = len(self._held) - self._at
        if left > _LARGEST:
            raise ValueError("one element of it is larger than a clip can be")
        # As much again as is held: an element that is read in parts costs twice its length at most.
        more = self._file.read(max(_CHUNK, left))
        self._held = self._held[self._at :] + more
        self._at = 0
        self._ended = not more
        return bool(more)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
