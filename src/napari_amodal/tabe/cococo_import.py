"""CoCoCo's published checkpoint, made into one safetensors file.

The checkpoint is four pickle files, ``model_0.pth`` to ``model_3.pth``. Only tensors are read from
them: PyTorch's ``weights_only`` refuses a file with anything else in it. Keys and shapes are held
against those of `CoCoCoUNet`. What the files lack of the layers that Stable Diffusion 1.5
inpainting has too comes from that network (reference page, section 6).
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_amodal.errors import CallError, InputError
from napari_amodal.progress import Watch
from napari_amodal.tabe.unet_file import UNetShape
from napari_amodal.weights.catalogue import find_weight
from napari_amodal.weights.manifest import FileRecord, Manifest, record, write_manifest
from napari_amodal.weights.safetensors_file import TensorEntry, header_bytes
from napari_amodal.weights.store import new_folder

#: What a checkpoint of CoCoCo consists of.
CHECKPOINT_FILES = tuple(f"model_{index}.pth" for index in range(4))

#: The key under which checkpoints of training keep their weights, if not at the top.
_NESTED = "state_dict"

#: Ways to write tensors that safetensors names so.
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}

#: Parts of keys that hold position encodings, which the network computes.
_POSITIONS = re.compile(r"pe(_?\d+)?|pos(ition)?_?enc(oder|oding)?s?")

#: How many keys a message names.
_NAMED = 6


@dataclass(frozen=True)
class SourceTensor:
    """A tensor (mapped, not read yet) and the file that it is in."""

    tensor: Tensor
    file: Path


def import_cococo(
    sources: Sequence[Path],
    watch: Watch,
    *,
    inpainting_unet: Path | None = None,
    shape: UNetShape | None = None,
    replace: bool = False,
) -> Path:
    """Put CoCoCo's weights into the store.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        The folder of the four files, or the files; a safetensors file with the same keys will do.
    inpainting_unet : pathlib.Path or None
        ``unet/`` of Stable Diffusion 1.5 inpainting, for layers that the files lack.
    shape : UNetShape or None
        Sizes of the network; None for the published one's.
    replace : bool
        Replace what the store has.

    Returns
    -------
    pathlib.Path
        The safetensors file.

    Raises
    ------
    CallError
        A file is not there, or Stable Diffusion's network is needed and is not.
    InputError
        A file holds something else than CoCoCo's weights; the message says what.
    Cancelled
        Told by `watch`.
    """
    weight = find_weight("cococo")
    assert weight.file is not None
    shape = shape or UNetShape()
    expected = expected_shapes(shape)
    files = checkpoint_files(sources)
    with new_folder(weight, replace=replace) as folder:
        watch.enter("cococo: reading the files", 0, 0.1)
        tensors = gather(files, expected)
        lacking = expected.keys() - tensors.keys()
        if lacking:
            tensors |= _from_inpainting(lacking, inpainting_unet, expected)
        check_shapes(tensors, expected)
        used = sorted({source.file for source in tensors.values()})
        records = _hashes(used, watch)
        target = folder / weight.file
        metadata = {
            "unet": json.dumps(asdict(shape)),
            "sources": json.dumps({str(file): r.sha256 for file, r in records.items()}),
        }
        _write(target, {key: tensors[key].tensor for key in sorted(tensors)}, metadata, watch)
        source = ", ".join(f"{file} ({r.sha256[:12]})" for file, r in records.items())
        stored = {weight.file: record(target, lambda _: watch.check())}
        write_manifest(folder, Manifest(weight.name, source, weight.licence.name, stored))
    return folder.with_name(weight.name) / weight.file


def expected_shapes(shape: UNetShape) -> dict[str, tuple[int, ...]]:
    """The keys of the network, and the shape under each."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in shape.build().state_dict().items()}


def checkpoint_files(sources: Sequence[Path]) -> list[Path]:
    """The files to read.

    Raises
    ------
    CallError
        Some are not there.
    """
    if len(sources) == 1 and sources[0].is_dir():
        sources = [sources[0] / name for name in CHECKPOINT_FILES]
    missing = [str(file) for file in sources if not file.is_file()]
    if missing or not sources:
        raise CallError(
            f"{', '.join(missing) or 'nothing given'}: not there; CoCoCo's checkpoint is "
            f"{', '.join(CHECKPOINT_FILES)}"
        )
    return list(sources)


def gather(
    files: Sequence[Path], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, SourceTensor]:
    """All tensors of some files by the network's keys; position encodings are left out.

    Raises
    ------
    InputError
        A file is not of tensors alone, a key is none of the network's, or two files differ on one.
    """
    gathered: dict[str, SourceTensor] = {}
    unexpected = []
    for file in files:
        for written, tensor in read_tensors(file).items():
            key = written.rpartition("module.")[2]
            if key not in expected:
                if not _is_position_encoding(key):
                    unexpected.append(f"{key} in {file.name}")
                continue
            before = gathered.get(key)
            if before is not None and not torch.equal(before.tensor, tensor):
                raise InputError(f"{key} is in {before.file} and in {file}, with other values")
            gathered[key] = SourceTensor(tensor, file)
    if unexpected:
        raise InputError(
            f"{len(unexpected)} tensors are none of CoCoCo's: {_some(unexpected)}; are these the "
            "files of another network?"
        )
    return gathered


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch or safetensors file, mapped into memory.

    Raises
    ------
    InputError
        The file holds anything but tensors by name. No code of it is run.
    """
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"{file} is no safetensors file: {error}") from error
    try:
        mapped = zipfile.is_zipfile(file)  # files of PyTorch before 1.6 are read whole
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} is broken, or holds more than tensors, and was not opened: it may run code"
        ) from error
    except EOFError as error:
        raise InputError(f"{file} is empty, or only part of a file: get it again") from error
    except (RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{file} is no file of PyTorch's, or a broken one: get it again"
        ) from error
    if isinstance(found, dict) and isinstance(found.get(_NESTED), dict):
        found = found[_NESTED]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{file} is not a table of tensors by name")
    return found


def check_shapes(
    tensors: Mapping[str, SourceTensor], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise `InputError` where a tensor has another shape than the network's, or no float type."""
    wrong = [
        f"{key} is {_sized(source.tensor.shape)} in {source.file.name}, "
        f"CoCoCo's is {_sized(expected[key])}"
        for key, source in tensors.items()
        if tuple(source.tensor.shape) != expected[key]
    ]
    wrong += [
        f"{key} in {source.file.name} is of {source.tensor.dtype}"
        for key, source in tensors.items()
        if source.tensor.dtype not in _DTYPES
    ]
    if wrong:
        raise InputError(f"{len(wrong)} tensors are not CoCoCo's: {_some(wrong)}")


def _from_inpainting(
    lacking: set[str], unet: Path | None, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, SourceTensor]:
    """What the checkpoint lacks, from the network that it was trained from."""
    of_cococo = sorted(key for key in lacking if ".motion_modules." in key)
    if of_cococo:
        raise InputError(
            f"{len(of_cococo)} of {len(expected)} tensors are missing that only CoCoCo's own files "
            f"hold: {_some(of_cococo)}; are all of {', '.join(CHECKPOINT_FILES)} given?"
        )
    files = sorted(unet.glob("diffusion_pytorch_model*.safetensors")) if unet else []
    if not files:
        raise CallError(
            f"the files hold only part of the network; the other {len(lacking)} tensors come from "
            "Stable Diffusion 1.5 inpainting: napari-amodal weights fetch "
            f"stable-diffusion-inpainting, then import again (missing: {_some(sorted(lacking))})"
        )
    file = min(files, key=lambda path: ".fp16." in path.name)  # full precision where it is there
    there = read_tensors(file)
    missing = sorted(lacking - there.keys())
    if missing:
        raise InputError(f"{file} lacks {len(missing)} tensors as well: {_some(missing)}")
    return {key: SourceTensor(there[key], file) for key in lacking}


def _hashes(files: Sequence[Path], watch: Watch) -> dict[Path, FileRecord]:
    total, done = sum(file.stat().st_size for file in files), 0
    watch.enter("cococo: hashing the files", 0.1, 0.4)

    def counted(count: int) -> None:
        nonlocal done
        done += count
        watch.step(done, total)

    return {file: record(file, counted) for file in files}


def _write(
    target: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], watch: Watch
) -> None:
    """Write tensors one after the other, so that no more than one is in memory."""
    entries, position = {}, 0
    for key, tensor in tensors.items():
        end = position + tensor.numel() * tensor.element_size()
        entries[key] = TensorEntry(_DTYPES[tensor.dtype], tuple(tensor.shape), position, end)
        position = end
    watch.enter("cococo: writing one file", 0.5, 0.5)
    with target.open("wb") as file:
        file.write(header_bytes(entries, metadata))
        for key, tensor in tensors.items():
            file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
            watch.step(entries[key].end, position)


def _is_position_encoding(key: str) -> bool:
    return any(_POSITIONS.fullmatch(word) for word in key.split("."))


def _some(told: Sequence[str]) -> str:
    more = len(told) - _NAMED
    return "; ".join(told[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _sized(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"
