"""Changes files of datasets at random and reads them, for as long as it is told to.

A broken file may be read, or refused by an `InputError`; any other error, and any file outside the
output folder, is a fault and is printed with the seed that makes it again. Memory is limited, so
that a file that makes the reader ask for too much of it is a fault, too.

    python benchmarks/fuzz_formats.py [--minutes 3] [--seed 0]
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import random
import resource
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_amodal.conversion import convert
from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import ClipObject, Dataset, DatasetClip
from napari_amodal.formats.dataset_formats import open_dataset, recognise, target_of
from napari_amodal.formats.format_table import DatasetFormat, MaskKind
from napari_amodal.levels import FrameOcclusion, OcclusionLevel

#: Values that readers trip over.
ODD: list[Any] = [
    *[None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, -0.0, 0.5],
    *["", "..", "../../x", "/etc/passwd", "a\0b", "\ud800", ".", "C:\\x", "a" * 300, "1", "oooo"],
    *["P", "0" * 500, "\u00e9", [], {}, [[]], [None], [0] * 7, [1e300] * 6, {"size": [1, 1]}],
    *[{"counts": ""}, [[0, 0, 1, 1, 2, 2]], [-1, 5], {"size": [12, 16], "counts": [192]}],
]

#: So much memory, in bytes, may the whole process take.
MEMORY = 6 << 30


def seed_clip(root: Path) -> DatasetClip:
    """A small clip of two objects."""
    rng = np.random.default_rng(0)
    amodal = rng.random((2, 3, 12, 16)) < 0.4
    visible = amodal & (rng.random(amodal.shape) < 0.7)
    names = tuple(f"train/car/{n:05d}.png" for n in range(3))
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).save(root / name)
    level = {n: FrameOcclusion(OcclusionLevel.SLIGHT_OCCLUSION, 0.25) for n in range(3)}
    objects = tuple(
        ClipObject(n + 1, "car", dict(enumerate(visible[n])), dict(enumerate(amodal[n])))
        for n in range(2)
    )
    objects = tuple(
        ClipObject(o.number, o.category, o.visible, o.amodal, occlusion=level) for o in objects
    )
    return DatasetClip("train/car", 12, 16, names, objects, tuple(root / name for name in names))


def change_json(data: Any, rng: random.Random) -> Any:
    """Put odd values in one to three places, or move a part to another place."""
    for _ in range(rng.randint(1, 3)):
        places = list(_places(data))
        if not places:
            return data
        holder, key = rng.choice(places)
        match rng.randrange(4):
            case 0:
                holder[key] = rng.choice(ODD)
            case 1:
                other, at = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[at]))
            case 2:
                if isinstance(holder, list):
                    holder.append(json.loads(json.dumps(holder[key])))
                else:
                    holder[rng.choice(["id", "name", "size", "rle", str(key) + "x"])] = holder[key]
            case _:
                del holder[key]
    return data


def _places(data: Any) -> Any:
    keys = (
        list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    )
    for key in keys:
        yield data, key
        yield from _places(data[key])


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut or double some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(changed) or 1)
        match rng.randrange(4):
            case 0 if changed:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 40)]
            case 2:
                changed[at:at] = changed[at : at + rng.randint(1, 40)]
            case _:
                changed[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
    return bytes(changed)


def one_round(seeds: dict[DatasetFormat, Path], work: Path, seed: int) -> str:
    """Change one file of one dataset, and convert it; what came of it."""
    rng = random.Random(seed)
    fmt = rng.choice(sorted(seeds))
    shutil.copytree(seeds[fmt], work / "in")
    files = sorted(path for path in (work / "in").rglob("*") if path.is_file())
    annotations = [path for path in files if path.suffix == ".json"]
    path = rng.choice(annotations if annotations and rng.random() < 0.9 else files)
    if path.suffix == ".json" and rng.random() < 0.8:
        path.write_text(json.dumps(change_json(json.loads(path.read_text()), rng)))
    else:
        path.write_bytes(change_bytes(path.read_bytes(), rng))
    to = rng.choice(list(DatasetFormat))
    try:
        recognise(work / "in")
        kind = rng.choice(list(MaskKind))
        with open_dataset(work / "in", fmt, None, kind) as dataset:
            target = target_of(to, kind, with_frames=True)
            result = convert(dataset, target, work / "room" / "out", jobs=1)
        for _, wrong in result.failed:
            if wrong.split(":")[0].isidentifier():  # the name of an error, see conversion
                raise AssertionError(wrong)
        outcome = "read, and some clips left out" if result.failed else "read"
    except InputError as error:
        if "no clip could be converted" in str(error) and "Error: " in str(error):
            raise AssertionError(str(error)) from error
        outcome = "refused"
    outside = [path.name for path in work.iterdir() if path.name not in ("in", "room")]
    outside += (
        [p.name for p in (work / "room").iterdir() if p.name != "out"]
        if (work / "room").exists()
        else []
    )
    if outside:
        raise AssertionError(f"files outside the output folder: {outside}")
    return f"{outcome}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--rounds", type=int, help="so many, and no longer")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # tifffile tells of each broken tag
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    memory = Path("/dev/shm")
    counts: collections.Counter[str] = collections.Counter()
    faults: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        clip = seed_clip(folder / "root")
        seeds = {fmt: folder / "seeds" / fmt for fmt in DatasetFormat if fmt.can_be_read}
        for fmt, path in seeds.items():
            dataset = Dataset((clip.name,), lambda number: clip)
            convert(dataset, target_of(fmt, MaskKind.VISIBLE, with_frames=True), path, jobs=1)
        end, seed = time.monotonic() + 60 * options.minutes, options.seed
        while time.monotonic() < end and seed - options.seed != options.rounds:
            work = folder / "work"
            work.mkdir()
            try:
                counts[one_round(seeds, work, seed)] += 1
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                told = (
                    f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})"
                )
                counts["FAULT"] += 1
                faults.setdefault(told[:120], seed)
            shutil.rmtree(work)
            seed += 1
    print(f"{seed - options.seed} files: {dict(counts)}")
    for fault, number in faults.items():
        print(f"seed {number}: {fault}")


if __name__ == "__main__":
    main()
