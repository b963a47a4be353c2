"""The formats of datasets by name, and what each keeps; nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum


class Facet(StrEnum):
    """What a format may keep of a dataset."""

    FRAMES = "frames"
    FRAME_NAMES = "names of the frame files"
    VISIBLE = "visible masks"
    AMODAL = "amodal masks"
    ONE_KIND = "frames with only one of the two masks"
    UNKNOWN = "which frames have no mask"
    OVERLAP = "overlapping objects"
    NUMBERS = "numbers of the objects"
    CATEGORY = "categories"
    LEVEL = "occlusion levels"
    AMOUNT = "occlusion amounts"
    BOXES = "boxes beyond the frame or without a mask"
    ORIGIN = "where masks came from"


class MaskKind(StrEnum):
    """The two masks of an object; a format with room for one holds one of them."""

    VISIBLE = "visible"
    AMODAL = "amodal"


class DatasetFormat(StrEnum):
    """A format of datasets, by the name that the command knows it by."""

    TABE51 = "tabe51"
    COCO = "coco"
    COCOA = "cocoa"
    TAO_AMODAL = "tao-amodal"
    BURST = "burst"
    DAVIS = "davis"
    TIFF = "tiff"
    OME_TIFF = "ome-tiff"
    YOLO = "yolo"

    @property
    def can_be_read(self) -> bool:
        return self is not DatasetFormat.YOLO


_F = Facet
_MASKS = frozenset({_F.VISIBLE, _F.AMODAL, _F.NUMBERS})
_IN_JSON = frozenset({_F.FRAMES, _F.FRAME_NAMES, _F.NUMBERS, _F.CATEGORY})

#: What each format keeps.
KEEPS: dict[DatasetFormat, frozenset[Facet]] = {
    DatasetFormat.TABE51: frozenset(Facet) - {_F.FRAME_NAMES, _F.CATEGORY, _F.BOXES},
    DatasetFormat.COCO: frozenset(Facet),
    DatasetFormat.COCOA: _IN_JSON | _MASKS | {_F.UNKNOWN, _F.OVERLAP, _F.AMOUNT},
    DatasetFormat.TAO_AMODAL: _IN_JSON | {_F.AMOUNT, _F.BOXES},
    DatasetFormat.BURST: _IN_JSON | {_F.VISIBLE, _F.AMODAL, _F.UNKNOWN, _F.OVERLAP},
    DatasetFormat.DAVIS: frozenset({_F.FRAMES, _F.VISIBLE, _F.AMODAL, _F.NUMBERS}),
    DatasetFormat.TIFF: _MASKS,
    DatasetFormat.OME_TIFF: _MASKS,
    DatasetFormat.YOLO: frozenset({_F.FRAMES, _F.CATEGORY}),
}

#: Formats with room for one kind of masks.
ONE_KIND = frozenset({DatasetFormat.BURST, DatasetFormat.DAVIS, DatasetFormat.YOLO})

#: What a word on what a format keeps would hide; shown with the table.
REMARKS: dict[DatasetFormat, str] = {
    DatasetFormat.TABE51: "frames are numbered; levels and amounts if every frame has them",
    DatasetFormat.COCOA: "amodal masks become their union with the visible ones; levels follow "
    "from amounts",
    DatasetFormat.TAO_AMODAL: "boxes instead of masks; amounts up to 1; levels follow from amounts",
    DatasetFormat.BURST: "one kind of masks (--masks)",
    DatasetFormat.DAVIS: "one kind of masks (--masks); up to 254 objects; frames are numbered",
    DatasetFormat.TIFF: "for ImageJ; one file a kind of masks",
    DatasetFormat.OME_TIFF: "one file a kind of masks",
    DatasetFormat.YOLO: "out only; one kind of masks (--masks) as outlines: parts are bridged, "
    "holes filled; frames are numbered",
}


def lost(source: DatasetFormat, target: DatasetFormat, kind: MaskKind) -> tuple[str, ...]:
    """What a dataset in one format may have that another cannot hold, in words."""
    gone = KEEPS[source] - KEEPS[target]
    if target in ONE_KIND and source not in ONE_KIND and Facet.AMODAL in KEEPS[source]:
        gone |= {Facet.AMODAL if kind is MaskKind.VISIBLE else Facet.VISIBLE, Facet.ONE_KIND}
    if target is DatasetFormat.YOLO:
        gone |= {Facet.VISIBLE if kind is MaskKind.VISIBLE else Facet.AMODAL}
    words = [str(facet) for facet in Facet if facet in gone]
    if Facet.ONE_KIND in gone and KEEPS[target] & {Facet.VISIBLE, Facet.AMODAL} != _BOTH:
        words.remove(str(Facet.ONE_KIND))
    return tuple(words)


_BOTH = frozenset({Facet.VISIBLE, Facet.AMODAL})
