"""Files that a person has, taken into the store; which way depends on what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from napari_amodal.errors import CallError
from napari_amodal.progress import Watch
from napari_amodal.tabe.triton_loading import load_triton
from napari_amodal.weights.adopt import adopt
from napari_amodal.weights.catalogue import Weight, find_weight
from napari_amodal.weights.manifest import Manifest, record, write_manifest
from napari_amodal.weights.store import locate, new_folder, require


def import_weight(
    name: str,
    sources: Sequence[Path],
    watch: Watch,
    *,
    copy: bool = False,
    replace: bool = False,
) -> Path:
    """Take files into the store.

    Parameters
    ----------
    name : str
        What they are, by the catalogue.
    sources : sequence of pathlib.Path
        For ``cococo`` its checkpoint's folder or files; for a ``sam2.1-...`` an original ``.pt``
        file, or a folder of transformers' layout; otherwise a folder of the weight's layout.
    copy : bool
        Copy a folder's files; otherwise links to them are made. Files that are converted are
        always written anew.
    replace : bool
        Replace what the store has under this name.

    Returns
    -------
    pathlib.Path
        Where the weight lies now.

    Raises
    ------
    CallError, InputError
        What was given is not there, or is something else; the message says what.
    """
    weight = find_weight(name)
    if name == "cococo":
        _check_torch(name)
        from napari_amodal.tabe.cococo_import import import_cococo

        diffusion = locate("stable-diffusion-inpainting")
        unet = diffusion / "unet" if diffusion else None
        return import_cococo(sources, watch, inpainting_unet=unet, replace=replace)
    if len(sources) != 1:
        raise CallError(f"{name} is imported from one folder, {len(sources)} were given")
    if name.startswith("sam2") and sources[0].is_file():
        _check_torch(name)
        _import_sam2(weight, sources[0], watch, replace=replace)
    else:
        adopt(weight, sources[0], watch, copy=copy, replace=replace)
    return require(name)


def _import_sam2(weight: Weight, source: Path, watch: Watch, *, replace: bool) -> None:
    """Convert an original checkpoint of SAM 2 to transformers' layout."""
    from napari_amodal.tabe.sam2_checkpoint import convert_checkpoint

    watch.enter(f"{weight.name}: converting {source.name}", 0, 1)
    with new_folder(weight, replace=replace) as folder:
        folder.rmdir()  # the converter makes it
        convert_checkpoint(source, folder)
        _check_size(weight, source, folder)
        watch.check()
        files = {
            path.relative_to(folder).as_posix(): record(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        told = f"{source} ({record(source).sha256[:12]})"
        write_manifest(folder, Manifest(weight.name, told, weight.licence.name, files))


def _check_size(weight: Weight, source: Path, folder: Path) -> None:
    """Refuse one published size under the name of another."""
    from napari_amodal.tabe.sam2_checkpoint import SIZES

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder = config["vision_config"]["backbone_config"]
    found = (encoder["hidden_size"], tuple(encoder["blocks_per_stage"]))
    for size in SIZES:
        name = f"sam2.1-{size.name}"
        if found == (size.width, size.blocks) and name != weight.name:
            raise CallError(f"{source} is of the size {size.name}: import it as {name}")


def _check_torch(name: str) -> None:
    for module in ("torch", "diffusers", "safetensors"):
        if find_spec(module) is None:
            raise CallError(f"importing {name} needs {module}: pip install 'napari-amodal[gpu]'")
    load_triton()
