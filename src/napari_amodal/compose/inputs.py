"""Which files a described clip is composed of."""

from __future__ import annotations

from pathlib import Path

from napari_amodal.batch.inputs import Input, input_of
from napari_amodal.compose.description import Described
from napari_amodal.compose.tables import Table, own_folder
from napari_amodal.formats.tabe51 import AMODAL, FRAMES, VISIBLE, is_tabe51


def inputs_of(described: Described) -> dict[str, Input]:
    """The sources, masks and plates of a described clip as they are now, by what they are.

    Raises
    ------
    InputError
        A path is no text.
    """
    occluders = described.what["occluder"]
    tables = {"the object": described.what["object"]}
    if isinstance(occluders, list):  # `read_scene` refuses anything else
        tables |= {f"occluder {at}": table for at, table in enumerate(occluders, 1)}
    found = {}
    for where, values in tables.items():
        if not isinstance(values, dict):
            continue
        table = Table(values, described.base, where)
        for key in ("source", "masks", "track", "plate"):
            path = table.path(key)
            if path is not None:
                brings_masks = key == "source" and own_folder(table) is not None
                what = f"the {key} of {where}"
                found[what] = input_of(path, _folders_read(path, brings_masks))
    return found


def _folders_read(path: Path, brings_masks: bool) -> tuple[str, ...]:
    """The folders of an input whose files are read; "" is the input itself."""
    if not is_tabe51(path):
        return ("",)
    return (FRAMES, VISIBLE, AMODAL) if brings_masks else (FRAMES,)
