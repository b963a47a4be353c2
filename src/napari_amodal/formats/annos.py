"""``annos.json`` of a TABE-51 folder: level and amount of the occlusion of each frame."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from napari_amodal.errors import InputError
from napari_amodal.formats.images import shown
from napari_amodal.levels import FrameOcclusion, OcclusionLevel

#: No clip needs more: 100,000 frames take some 6 MB here and 15 MB in ``napari-amodal.json``.
_LARGEST = 1 << 26
_MOST_DIGITS = 4000


def read_annos(path: Path, frames: int) -> tuple[FrameOcclusion, ...]:
    """Read ``annos.json``, one entry for each of `frames` frames.

    Raises
    ------
    InputError
        The file is not what it should be; the message names the entry.
    """
    entries = read_json_object(path).get("occlusion")
    if not isinstance(entries, list):
        raise InputError(f'{shown(path)} has no list "occlusion": restore the file or remove it')
    if len(entries) != frames:
        raise InputError(
            f"{shown(path)} has {len(entries)} entries, the clip has {frames} frames: "
            "give it one entry a frame, or remove it"
        )
    return tuple(_entry(entry, f"{shown(path)}, entry {at}") for at, entry in enumerate(entries))


def annos_json(occlusion: tuple[FrameOcclusion, ...]) -> str:
    """The text of ``annos.json``."""
    entries = [{"level": found.level.name, "amount": found.amount} for found in occlusion]
    return json.dumps({"occlusion": entries}, indent=1, allow_nan=False) + "\n"


def read_json_object(path: Path) -> Mapping[str, Any]:
    """Read a JSON file that holds one object; it may come from anybody.

    Raises
    ------
    InputError
        It cannot be read, is not JSON, or is too large or nested to be meant.
    """
    try:
        data = json.loads(_text(path), **_CHECKED)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise InputError(f"{shown(path)} is nested too deeply: restore it or remove it") from error
    except ValueError as error:  # of JSON, of UTF-8, or ours
        if isinstance(error, InputError):
            raise
        raise InputError(f"{shown(path)} is not JSON ({error}): restore it or remove it") from error
    if not isinstance(data, dict):
        raise InputError(f"{shown(path)} holds no JSON object: restore it or remove it")
    return data


def _text(path: Path) -> str:
    """The text of a file of bounded size; a pipe or a device would never end."""
    if not path.is_file():
        raise InputError(f"{shown(path)} is no regular file: restore it or remove it")
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InputError(f"{shown(path)} is larger than {_LARGEST >> 20} MB: remove it")
    return data.decode("utf-8-sig")


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


#: Python's JSON takes what the format does not have, and what no file can mean.
_CHECKED: dict[str, Any] = {
    "parse_constant": _no_constant,
    "parse_int": _whole_number,
    "parse_float": _number,
}


def _entry(entry: object, where: str) -> FrameOcclusion:
    if not isinstance(entry, dict):
        raise InputError(f'{where} is no object with "level" and "amount"')
    level, amount = entry.get("level"), entry.get("amount")
    if not isinstance(level, str) or level not in OcclusionLevel.__members__:
        known = ", ".join(OcclusionLevel.__members__)
        raise InputError(f"{where} has the level {_short(level)}; levels are {known}")
    if amount is None:
        return FrameOcclusion(OcclusionLevel[level], None)
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    # A float of 400 digits reads as infinity, an int of as many does not become a float.
    if not number or not 0 <= amount <= 1e300 or not math.isfinite(amount):
        raise InputError(
            f"{where} has the amount {_short(amount)}: it is the hidden share of the mask, "
            "a number from 0 on, or null"
        )
    return FrameOcclusion(OcclusionLevel[level], float(amount))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
