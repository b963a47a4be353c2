"""Changes descriptions of composed clips, and what they name, at random and composes them.

A description may be composed, refused by an `InputError`, or its clip may fail with a reason; a
traceback, a clip that takes longer than some seconds, and any file outside the output folder are
faults and are printed with the seed that makes them again.

    python benchmarks/fuzz_compose.py [--minutes 3] [--seed 0]
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
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fuzz_formats import MEMORY, ODD, change_bytes, change_json
from napari_amodal.clip import clip_from_array
from napari_amodal.compose.compose_job import ComposeJob, compose_clip
from napari_amodal.compose.description import read_description
from napari_amodal.errors import InputError
from napari_amodal.formats.tabe51 import write_tabe51
from napari_amodal.levels import occlusion_of
from napari_amodal.masks import MaskStack

_SECONDS = 5.0
_CLIPS_TRIED = 3

#: Every key of the description.
DESCRIPTION: dict[str, Any] = {
    "seed": 4,
    "clip": [
        {
            "name": "one",
            "copies": 2,
            "object": {"source": "ball", "first": 0, "last": 3, "reverse": True, "pause": 2},
            "occluder": [
                {
                    "source": {"any": ["ball/frames"]},
                    "masks": "labels.tif",
                    "label": 3,
                    "begin": 1,
                    "pause": "end",
                    "scale": {"min": 0.5, "max": 1.5},
                    "position": [[0, 1, 2], [3, 4, 5]],
                    "depth": [[0, -1], [2, 1]],
                    "softness": 1.5,
                    "plate": "plate",
                },
                {"source": "ball", "meet": 2},
            ],
        }
    ],
}
TABLES = ("object", "occluder")


def make_sources(folder: Path) -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((5, 12, 16), np.bool_)
    masks[:, 3:9, 4:12] = True
    clip = clip_from_array(rng.integers(0, 255, (5, 12, 16, 3), np.uint8), "ball")
    stack = MaskStack.from_array(masks)
    write_tabe51(folder / "ball", clip, stack, stack, occlusion_of(stack, stack))
    shutil.copytree(folder / "ball/frames", folder / "plate")
    tifffile.imwrite(folder / "labels.tif", masks.astype(np.uint8) * 3, compression="zlib")
    (folder / "set.json").write_text(json.dumps(DESCRIPTION))


def changed(data: Any, rng: random.Random) -> Any:
    """Odd values anywhere, or an odd value of a known key of a part."""
    if rng.random() < 0.5:
        return change_json(data, rng)
    clip = data["clip"][0]
    tables = [clip["object"], *clip["occluder"]]
    keys = sorted({key for table in tables for key in table} | {"fps", "track", "track_frame"})
    for _ in range(rng.randint(1, 3)):
        rng.choice(tables)[rng.choice(keys)] = rng.choice(ODD)
    return data


def one_round(seed_folder: Path, work: Path, seed: int) -> str:
    rng = random.Random(seed)
    shutil.copytree(seed_folder, work / "in")
    file = work / "in/set.json"
    if rng.random() < 0.85:
        file.write_text(json.dumps(changed(json.loads(file.read_text()), rng)))
    else:
        others = [path for path in (work / "in").rglob("*") if path.is_file()]
        path = rng.choice(others)
        path.write_bytes(change_bytes(path.read_bytes(), rng))
    before = {path for path in work.rglob("*") if not path.is_relative_to(work / "out")}
    try:
        described = read_description(file)
    except InputError:
        return "refused"
    told = "composed"
    for one in described[:_CLIPS_TRIED]:
        began = time.monotonic()
        outcome = compose_clip(
            ComposeJob(one, work / "out"), lambda began=began: time.monotonic() > began + _SECONDS
        )
        if outcome.trace:
            raise AssertionError(outcome.reason + outcome.trace[-600:])
        told = "failed with a reason" if outcome.reason else told
    outside = {path for path in work.rglob("*") if not path.is_relative_to(work / "out")} - before
    if outside:
        raise AssertionError(f"files outside the output folder: {outside}")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--rounds", type=int, help="so many, and no longer")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts: collections.Counter[str] = collections.Counter()
    faults: dict[str, int] = {}
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        make_sources(folder / "seed")
        end, seed = time.monotonic() + 60 * options.minutes, options.seed
        while time.monotonic() < end and seed - options.seed != options.rounds:
            work = folder / "work"
            work.mkdir()
            try:
                counts[one_round(folder / "seed", work, seed)] += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                counts["FAULT"] += 1
                faults.setdefault(f"{type(error).__name__}: {error}"[-900:], seed)
            shutil.rmtree(work)
            seed += 1
    print(f"{seed - options.seed} descriptions: {dict(counts)}")
    for fault, number in faults.items():
        print(f"seed {number}: {fault}")


if __name__ == "__main__":
    main()
