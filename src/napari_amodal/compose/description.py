"""The description file of composed clips: TOML or JSON, with ranges to draw from.

``docs/compose.md`` describes every key.
"""

from __future__ import annotations

import json
import tomllib
import zlib
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_amodal.clip import safe_name
from napari_amodal.errors import CallError, InputError

_LARGEST = 1 << 24
_MOST_COPIES = 100_000
#: No number of a description means more (not NaN either).
_FARTHEST = 1e9


@dataclass(frozen=True)
class Described:
    """One clip to compose, with everything drawn.

    Attributes
    ----------
    name : str
    what : mapping
        Its tables ``object`` and ``occluder``, with numbers where the file has ranges.
    base : pathlib.Path
        The folder that paths are relative to.
    """

    name: str
    what: Mapping[str, Any]
    base: Path


def read_description(path: Path) -> tuple[Described, ...]:
    """The clips that a description file asks for, every range drawn from its seed.

    A clip's numbers depend on the seed, its name and its copy alone, so that clips may be added
    or left out without changing the others.

    Raises
    ------
    InputError
        The file cannot be read, or asks for something that there is not; the message says where.
    """
    data = _read(path)
    check_keys(data, {"seed", "clip"}, path.name)
    seed, clips = data.get("seed", 0), data.get("clip")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"{path.name}: seed is {seed!r}, it is a whole number from 0 on")
    if not isinstance(clips, list) or not clips:
        raise InputError(f"{path.name} describes no clip: it needs [[clip]] tables")
    found = [one for clip in clips for one in _copies(clip, seed, path)]
    for name, count in Counter(one.name for one in found).items():
        if count > 1:
            raise InputError(f"{path.name} has two clips named {name!r}")
    return tuple(found)


def write_description(path: Path, described: Described) -> None:
    """Put a clip into a JSON description, instead of one of its name or after the others.

    The file is written beside and renamed; other clips in it stay as they are.

    Raises
    ------
    CallError
        The file is no JSON: TOML has no writer here.
    InputError
        A file that is there is no description, or it cannot be written.
    """
    if path.suffix.lower() != ".json":
        raise CallError(f"descriptions are saved as JSON: call it {path.with_suffix('.json').name}")
    data = dict(_read(path)) if path.exists() else {}
    check_keys(data, {"seed", "clip"}, path.name)
    clips = data.get("clip", [])
    if not isinstance(clips, list):
        raise InputError(f"{path} holds no list of clips: choose another file")
    clip = {"name": described.name, **described.what}
    names = [one.get("name") if isinstance(one, dict) else None for one in clips]
    if described.name in names:
        clips[names.index(described.name)] = clip
    else:
        clips = [*clips, clip]
    beside = path.with_name(f".{path.name}.partial")
    try:
        beside.write_text(json.dumps({**data, "clip": clips}, indent=1) + "\n", "utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than {_LARGEST >> 20} MB: no description is")
        text = path.read_text("utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        # JSON may hold halves of characters, of which no name can be made.
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no description ({error})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no table of keys")
    return data


def _copies(clip: Any, seed: int, path: Path) -> list[Described]:
    if not isinstance(clip, dict) or not isinstance(clip.get("name"), str) or not clip["name"]:
        raise InputError(f"{path.name}: every [[clip]] needs a name")
    name, copies = clip["name"], clip.get("copies", 1)
    where = f"{path.name}, clip {name!r}"
    if name != safe_name(name) or name.startswith("."):
        raise InputError(f"{where}: its name is that of a folder; {safe_name(name)!r} could be one")
    check_keys(clip, {"name", "copies", "object", "occluder"}, where)
    if not isinstance(copies, int) or not 1 <= copies <= _MOST_COPIES:
        raise InputError(f"{where}: copies is {copies!r}, it is 1 to {_MOST_COPIES}")
    if not isinstance(clip.get("object"), dict):
        raise InputError(f"{where} has no [clip.object]")
    found = []
    for copy in range(copies):
        generator = np.random.default_rng([seed, zlib.crc32(name.encode()), copy])
        what = {
            key: _drawn(clip.get(key, []), generator, f"{where}, {key}")
            for key in ("object", "occluder")
        }
        own = name if copies == 1 else f"{name}_{copy:04d}"
        found.append(Described(own, what, path.absolute().parent))
    return found


def _drawn(value: Any, generator: np.random.Generator, where: str) -> Any:
    """A value with ``{min, max}`` replaced by a number between, ``{any}`` by one of a list."""
    if isinstance(value, dict):
        if value.keys() == {"min", "max"}:
            return _between(value["min"], value["max"], generator, where)
        if value.keys() == {"any"}:
            options = value["any"]
            if not isinstance(options, list) or not options:
                raise InputError(f"{where}: any is a list of one or more")
            return _drawn(options[int(generator.integers(len(options)))], generator, where)
        return {key: _drawn(one, generator, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_drawn(one, generator, where) for one in value]
    return value


def _between(low: Any, high: Any, generator: np.random.Generator, where: str) -> int | float:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high))
    if not numbers or not all(abs(v) <= _FARTHEST for v in (low, high)) or low > high:
        raise InputError(f"{where}: min {low!r} and max {high!r} are no range of numbers")
    if isinstance(low, int) and isinstance(high, int):
        return int(generator.integers(low, high + 1))
    return round(float(generator.uniform(low, high)), 6)


def check_keys(table: Mapping[str, Any], known: Set[str], where: str) -> None:
    """Raise `InputError` for a key that a table does not have."""
    for key in table:
        if key not in known:
            raise InputError(f"{where} has the key {key!r}; known are {', '.join(sorted(known))}")
