"""The header of a safetensors file, read and written without loading a library of networks.

Format: 8 bytes with the header's length (little-endian), a JSON header, then all tensors' bytes
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from napari_amodal.errors import InputError

_LONGEST_HEADER = 100_000_000  # as the library has it


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's type (``F32``, ``BF16``, ...), shape, and bytes from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """The tensors of a file, by name.

    Raises
    ------
    InputError
        It is no safetensors file, or not a whole one.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _LONGEST_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {
            name: TensorEntry(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
        }
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no safetensors file, or only part of one: {error}") from error
    whole = 8 + length + max((entry.end for entry in tensors.values()), default=0)
    if size != whole:
        raise InputError(f"{path} has {size} bytes, its header tells of {whole}: get it again")
    return tensors


def header_bytes(tensors: dict[str, TensorEntry], metadata: dict[str, str]) -> bytes:
    """The beginning of a file with these tensors, up to the first tensor's bytes."""
    header: dict[str, object] = {"__metadata__": metadata}
    for name, entry in tensors.items():
        header[name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [entry.begin, entry.end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
