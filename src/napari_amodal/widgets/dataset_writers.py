"""Saving layers as a dataset of one clip: a writer for each format and kind of masks.

For File > Save.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info

from napari_amodal.conversion import convert
from napari_amodal.errors import CallError, InputError
from napari_amodal.export import export
from napari_amodal.formats.dataset_formats import open_dataset, target_of
from napari_amodal.formats.format_table import REMARKS, DatasetFormat, MaskKind, lost
from napari_amodal.widgets.writers import LayerTuple, SaveError, annotated_layers

Writer = Callable[[str, Sequence[LayerTuple]], list[str]]


def writer_of(fmt: DatasetFormat, kind: MaskKind = MaskKind.VISIBLE) -> Writer:
    """A writer of frames and masks, chosen from the layers as `write_labels` does, to a folder.

    Parameters
    ----------
    fmt : DatasetFormat
    kind : MaskKind
        Which masks a format with room for one kind holds.
    """

    def write(path: str, layers: Sequence[LayerTuple]) -> list[str]:
        try:
            return _write(Path(path), layers, fmt, kind)
        except InputError as error:
            raise SaveError(str(error)) from error

    return write


def _write(
    path: Path, layers: Sequence[LayerTuple], fmt: DatasetFormat, kind: MaskKind
) -> list[str]:
    if path.exists():
        raise CallError(f"{path} is there already: choose another name")
    found = annotated_layers(path, layers)
    _say_what_is_lost(fmt, kind)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
        export(Path(name), found.clip, found.annotations, found.completion)
        with open_dataset(Path(name), DatasetFormat.TABE51, None, kind) as dataset:
            result = convert(dataset, target_of(fmt, kind, with_frames=True), path, jobs=1)
    if result.failed:
        raise InputError("; ".join(f"{name}: {wrong}" for name, wrong in result.failed))
    return [str(path)]


def _say_what_is_lost(fmt: DatasetFormat, kind: MaskKind) -> None:
    told: list[Any] = []
    if gone := lost(DatasetFormat.TABE51, fmt, kind):
        told.append(f"{fmt} cannot hold {', '.join(gone)}")
    if fmt in REMARKS:
        told.append(REMARKS[fmt].replace(" (--masks)", ""))
    if told:
        show_info("; ".join(told))


write_cocoa = writer_of(DatasetFormat.COCOA)
write_tao_amodal = writer_of(DatasetFormat.TAO_AMODAL)
write_burst_visible = writer_of(DatasetFormat.BURST, MaskKind.VISIBLE)
write_burst_amodal = writer_of(DatasetFormat.BURST, MaskKind.AMODAL)
write_davis_visible = writer_of(DatasetFormat.DAVIS, MaskKind.VISIBLE)
write_davis_amodal = writer_of(DatasetFormat.DAVIS, MaskKind.AMODAL)
write_tiff = writer_of(DatasetFormat.TIFF)
write_ome_tiff = writer_of(DatasetFormat.OME_TIFF)
write_yolo_visible = writer_of(DatasetFormat.YOLO, MaskKind.VISIBLE)
write_yolo_amodal = writer_of(DatasetFormat.YOLO, MaskKind.AMODAL)
