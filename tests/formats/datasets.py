"""Datasets made up by hypothesis, and what each format is to keep of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from napari_amodal.boxes import Box, box_of
from napari_amodal.conversion import Conversion, convert
from napari_amodal.formats.dataset import ClipObject, Dataset, DatasetClip, hidden_share
from napari_amodal.formats.dataset_formats import open_dataset, target_of
from napari_amodal.formats.format_table import DatasetFormat, MaskKind
from napari_amodal.levels import FrameOcclusion, OcclusionLevel, level_of
from napari_amodal.masks import Mask

Masks = Mapping[int, Mask]

READABLE = [fmt for fmt in DatasetFormat if fmt.can_be_read]
NAMES = ("car", "man_behind 2", "Ünïcode")

_AMOUNTS = st.sampled_from([0.0, 0.005, 0.1, 1 / 3, 0.5, 1.0]) | st.floats(0, 1)
_OCCLUSION = st.builds(FrameOcclusion, st.sampled_from(OcclusionLevel), st.none() | _AMOUNTS)
_BOXES = st.builds(
    lambda y, x, height, width: Box(y, x, y + height, x + width),
    *[st.integers(-20, 20)] * 2,
    *[st.integers(1, 30)] * 2,
)
_ORIGINS = st.none() | st.fixed_dictionaries(
    {
        "frames": st.lists(st.fixed_dictionaries({"visible": st.just("query")})),
        "seed": st.integers(),
    }
)


@st.composite
def _objects(draw: Any, number: int, frames: int, size: tuple[int, int]) -> ClipObject:
    def some(values: Any) -> dict[int, Any]:
        return draw(st.dictionaries(st.integers(0, frames - 1), values))

    visible, amodal = some(arrays(np.bool_, size)), some(arrays(np.bool_, size))
    every = draw(st.booleans())
    occlusion = {f: draw(_OCCLUSION) for f in range(frames)} if every else some(_OCCLUSION)
    origin = draw(_ORIGINS)
    return ClipObject(
        number,
        draw(st.sampled_from(["object", "giraffe", 'wei"rd\n'])),
        visible,
        amodal,
        {f: box for f, box in some(_BOXES).items() if f not in visible},
        {f: box for f, box in some(_BOXES).items() if f not in amodal or box_of(amodal[f]) != box},
        occlusion,
        origin and {**origin, "object": number},
    )


@st.composite
def clips(draw: Any, name: str) -> DatasetClip:
    """A clip without frame files."""
    frames = draw(st.integers(1, 4))
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    numbers = draw(st.lists(st.integers(1, 254), min_size=1, max_size=3, unique=True))
    objects = tuple(draw(_objects(number, frames, size)) for number in sorted(numbers))
    return DatasetClip(
        name, *size, tuple(f"{name}/a{frame}.png" for frame in range(frames)), objects
    )


datasets = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.tuples(*(clips(name) for name in names))
)


def with_frames(clip: DatasetClip, root: Path) -> DatasetClip:
    """The clip with files for its frames."""
    files = tuple(root / name for name in clip.frame_names)
    for at, path in enumerate(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = hash((clip.name, at)) % 256
        Image.fromarray(np.full((clip.height, clip.width, 3), shade, np.uint8)).save(path)
    return replace(clip, images=files)


def as_dataset(found: tuple[DatasetClip, ...]) -> Dataset:
    return Dataset(tuple(clip.name for clip in found), found.__getitem__)


def write(
    dataset: Dataset, fmt: DatasetFormat, out: Path, kind: MaskKind = MaskKind.VISIBLE, **how: Any
) -> Conversion:
    """Convert in this process."""
    return convert(dataset, target_of(fmt, kind, with_frames=True), out, jobs=1, **how)


def read_all(
    path: Path, fmt: DatasetFormat, images: Path | None, kind: MaskKind = MaskKind.VISIBLE
) -> dict[str, DatasetClip]:
    """All clips of a dataset by name, with their masks in memory."""
    with open_dataset(path, fmt, images, kind) as dataset:
        found = [dataset.read(number) for number in range(len(dataset.names))]
        return {
            clip.name: replace(
                clip,
                objects=tuple(
                    replace(
                        one,
                        visible={frame: one.visible[frame] for frame in one.visible},
                        amodal={frame: one.amodal[frame] for frame in one.amodal},
                    )
                    for one in clip.objects
                ),
            )
            for clip in found
        }


def described(clip: DatasetClip) -> dict[str, Any]:
    """A clip as plain values that can be compared."""
    return {
        "size": (clip.height, clip.width),
        "frame_names": clip.frame_names,
        "objects": {
            found.number: {
                "category": found.category,
                "visible": _bits(found.visible),
                "amodal": _bits(found.amodal),
                "visible_boxes": dict(found.visible_boxes),
                "amodal_boxes": dict(found.amodal_boxes),
                "levels": {frame: one.level for frame, one in found.occlusion.items()},
                # As many digits as `1 - visibility` has.
                "amounts": {
                    frame: one.amount if one.amount is None else round(one.amount, 15)
                    for frame, one in found.occlusion.items()
                },
                "origin": found.origin,
            }
            for found in clip.objects
        },
    }


def _bits(masks: Masks) -> dict[int, tuple[tuple[int, ...], bytes]]:
    return {frame: (mask.shape, np.packbits(mask).tobytes()) for frame, mask in masks.items()}


def kept(clip: DatasetClip, fmt: DatasetFormat, kind: MaskKind) -> DatasetClip:
    """What is to be read of a clip that was written in a format, as `docs/formats.md` has it."""
    match fmt:
        case DatasetFormat.COCO:
            return clip
        case DatasetFormat.TABE51:
            names = _numbered(clip)
            whole = range(len(clip))
            objects = tuple(
                ClipObject(
                    found.number,
                    visible=found.visible,
                    amodal=found.amodal,
                    occlusion=found.occlusion if len(found.occlusion) == len(whole) else {},
                    origin=found.origin,
                )
                for found in clip.objects
            )
            return replace(clip, frame_names=names, objects=objects)
        case DatasetFormat.COCOA:
            cocoa = tuple(_as_cocoa(found) for found in clip.objects)
            return replace(clip, objects=tuple(found for found in cocoa if found.visible))
        case DatasetFormat.TAO_AMODAL:
            return replace(clip, objects=tuple(_as_tao(found) for found in clip.objects))
        case DatasetFormat.BURST:
            objects = tuple(
                ClipObject(found.number, found.category, **{str(kind): found.masks(kind)})
                for found in clip.objects
            )
            return replace(clip, objects=objects)
        case DatasetFormat.DAVIS:
            known = {frame for found in clip.objects for frame in found.masks(kind)}
            joined = _joined(clip, kind, sorted(known))
            objects = tuple(ClipObject(n, **{str(kind): masks}) for n, masks in joined.items())
            return replace(clip, frame_names=_numbered(clip), objects=objects)
        case _:
            # The names are those of the frames that are given with the stacks.
            names = tuple(f"{clip.name}/a{frame}.png" for frame in range(len(clip)))
            return replace(clip, frame_names=names, objects=_as_tiff(clip))


def _numbered(clip: DatasetClip) -> tuple[str, ...]:
    return tuple(f"{clip.name}/{frame:05d}.png" for frame in range(len(clip)))


def _amounts(found: ClipObject) -> dict[int, float]:
    """The amounts that are given, else those of the masks."""
    shares = {
        frame: hidden_share(found.visible[frame], found.amodal[frame])
        for frame in found.visible
        if frame in found.amodal
    }
    given = {f: one.amount for f, one in found.occlusion.items() if one.amount is not None}
    return {**shares, **given}


def _as_cocoa(found: ClipObject) -> ClipObject:
    frames = sorted(found.visible.keys() & found.amodal.keys())
    amounts = _amounts(found)
    return ClipObject(
        found.number,
        found.category,
        {frame: found.visible[frame] for frame in frames},
        {frame: found.visible[frame] | found.amodal[frame] for frame in frames},
        occlusion={f: FrameOcclusion(level_of(amounts[f]), amounts[f]) for f in frames},
    )


def _as_tao(found: ClipObject) -> ClipObject:
    def boxes(masks: Masks, given: Mapping[int, Box]) -> dict[int, Box]:
        own = {frame: box for frame in masks if (box := box_of(masks[frame])) is not None}
        return {**own, **given}

    amounts = {frame: 1 - max(0.0, 1 - amount) for frame, amount in _amounts(found).items()}
    return ClipObject(
        found.number,
        found.category,
        visible_boxes=boxes(found.visible, found.visible_boxes),
        amodal_boxes=boxes(found.amodal, found.amodal_boxes),
        occlusion={f: FrameOcclusion(level_of(amount), amount) for f, amount in amounts.items()},
    )


def _joined(clip: DatasetClip, kind: MaskKind, frames: list[int]) -> dict[int, dict[int, Mask]]:
    """The masks of objects that have a pixel, where the lowest number takes what is shared."""
    size = clip.height, clip.width
    taken = {frame: np.zeros(size, np.bool_) for frame in frames}
    joined: dict[int, dict[int, Mask]] = {}
    for found in sorted(clip.objects, key=lambda found: found.number):
        masks = found.masks(kind)
        own = {f: masks.get(f, np.zeros(size, np.bool_)) & ~taken[f] for f in frames}
        for frame in frames:
            taken[frame] = taken[frame] | own[frame]
        if any(mask.any() for mask in own.values()):
            joined[found.number] = own
    return joined


def _as_tiff(clip: DatasetClip) -> tuple[ClipObject, ...]:
    every = list(range(len(clip)))
    there = {kind: any(found.masks(kind) for found in clip.objects) for kind in MaskKind}
    there[MaskKind.VISIBLE] |= not there[MaskKind.AMODAL]
    joined = {kind: _joined(clip, kind, every) for kind in MaskKind}
    empty = {frame: np.zeros((clip.height, clip.width), np.bool_) for frame in every}
    return tuple(
        ClipObject(
            number,
            **{
                str(kind): joined[kind].get(number, empty) if there[kind] else {}
                for kind in MaskKind
            },
        )
        for number in sorted(joined[MaskKind.VISIBLE] | joined[MaskKind.AMODAL])
    )
