"""Getting weights from the Hugging Face Hub: only when called, resumed, and checked.

huggingface_hub finds the files, their hashes and the way to them, and moves the bytes; what has
come of a broken download is kept here, as the library (2.x) starts each download anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from napari_amodal.errors import CallError, Cancelled, InputError
from napari_amodal.progress import Watch
from napari_amodal.weights.catalogue import HubSource, Weight
from napari_amodal.weights.manifest import Manifest, digest, record, write_manifest
from napari_amodal.weights.safetensors_file import read_header
from napari_amodal.weights.store import folders, new_folder

_TRUE = {"1", "on", "yes", "true"}


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, as the hub describes it.

    Attributes
    ----------
    name : str
        Its path in the repository.
    stored_as : str
        Its path in the weight's folder.
    size : int
        Bytes.
    algorithm, hash : str
        ``sha256`` of large files, ``git`` (hash of a blob) of small ones.
    """

    name: str
    stored_as: str
    size: int
    algorithm: str
    hash: str

    @property
    def partial(self) -> str:
        """What it is called until it is whole; another version of it is another file."""
        return f"{self.stored_as}.{self.hash[:12]}.partial"


@dataclass(frozen=True)
class Listing:
    """The files of a weight in one commit of a repository."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def fetch(
    weight: Weight,
    watch: Watch,
    *,
    repository: str | None = None,
    endpoint: str | None = None,
    replace: bool = False,
) -> Path:
    """Fetch a weight into the first of the store's folders; what has come already is kept.

    Parameters
    ----------
    repository : str or None
        Another repository of the same layout.
    endpoint : str or None
        Address of a hub; None for huggingface_hub's own (``HF_ENDPOINT``).
    replace : bool
        Replace what is there.

    Returns
    -------
    pathlib.Path
        The weight's folder.

    Raises
    ------
    CallError
        The weight cannot be fetched here (its source, offline, huggingface-hub is not installed).
    InputError
        The hub did not give it, or gave something else; or the disk is full.
    Cancelled
        Told by `watch`.
    """
    check_fetchable(weight)
    assert isinstance(weight.source, HubSource)
    watch.enter(f"{weight.name}: asking the hub", 0, 0)
    with _hub_errors_told(weight):
        listing = list_files(weight, repository or weight.source.repository, endpoint)
    with _alone(weight), new_folder(weight, replace=replace, resume=True) as folder:
        _check_room(folder, listing)
        done = 0
        for file in listing.files:
            watch.enter(
                f"{weight.name}: {file.name}", done / listing.size, file.size / listing.size
            )
            with _hub_errors_told(weight):
                _fetch_file(folder, file, listing, endpoint, watch)
            done += file.size
        _tidy(folder, {file.stored_as for file in listing.files})
        source = f"{listing.repository} at {listing.commit}"
        files = {file.stored_as: record(folder / file.stored_as) for file in listing.files}
        write_manifest(folder, Manifest(weight.name, source, weight.licence.name, files))
    return folders()[0] / weight.name


def check_fetchable(weight: Weight) -> None:
    """Raise `CallError` if a weight cannot be fetched on this machine; asks no network."""
    if not isinstance(weight.source, HubSource):
        raise CallError(
            f"{weight.name} cannot be fetched: get {weight.source.files} from "
            f"{weight.source.page}, then napari-amodal weights import {weight.name} FOLDER"
        )
    if find_spec("huggingface_hub") is None:
        raise CallError("fetching needs huggingface-hub: pip install 'napari-amodal[gpu]'")
    if any(os.environ.get(name, "").lower() in _TRUE for name in _OFFLINE):
        raise CallError(
            f"{weight.name} is not fetched while HF_HUB_OFFLINE is set: unset it, or "
            f"napari-amodal weights import {weight.name} FOLDER"
        )


_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def list_files(weight: Weight, repository: str, endpoint: str | None) -> Listing:
    """Ask the hub which files a repository has of a weight.

    Raises
    ------
    InputError
        It lacks some.
    """
    from huggingface_hub import HfApi

    info = HfApi(endpoint=endpoint).model_info(repository, files_metadata=True)
    there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    files = []
    for part in weight.parts:
        name = next((choice for choice in part.choices if choice in there), None)
        if name is not None:
            files.append(_described(there[name], part.choices[0]))
        elif not part.optional:
            raise InputError(f"{repository} has no {' or '.join(part.choices)}")
    return Listing(repository, info.sha or "main", tuple(files))


def _described(sibling: Any, stored_as: str) -> HubFile:
    large = sibling.lfs is not None
    hashed = ("sha256", sibling.lfs.sha256) if large else ("git", sibling.blob_id)
    return HubFile(sibling.rfilename, stored_as, sibling.size, *hashed)


def _fetch_file(
    folder: Path, file: HubFile, listing: Listing, endpoint: str | None, watch: Watch
) -> None:
    """Fetch one file, or what is lacking of it, and check it."""
    whole, partial = folder / file.stored_as, folder / file.partial
    whole.parent.mkdir(parents=True, exist_ok=True)
    if whole.is_file():
        if _is_right(whole, file, watch):
            return
        whole.unlink()
    if not partial.is_file() or partial.stat().st_size < file.size:
        _download(partial, file, listing, endpoint, watch)
    if not _is_right(partial, file, watch):
        partial.unlink()
        raise InputError(
            f"{file.name} of {listing.repository} arrived with other contents than the hub says "
            f"(by its {file.algorithm} hash): it was thrown away, fetch it again"
        )
    if whole.suffix == ".safetensors":
        read_header(partial)
    partial.rename(whole)


def _download(
    partial: Path, file: HubFile, listing: Listing, endpoint: str | None, watch: Watch
) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(listing.repository, file.name, revision=listing.commit, endpoint=endpoint)
    with partial.open("ab") as target, _no_bars_of_the_hub():
        begun = target.tell()
        http_get(
            url,
            _Watched(target, file.size, watch),
            resume_size=begun,
            headers=build_hf_headers(),
            expected_size=file.size,
        )


class _Watched:
    """A file that reports what is written to it, and through which a download is cancelled."""

    def __init__(self, file: BinaryIO, size: int, watch: Watch) -> None:
        self._file, self._size, self._watch = file, size, watch

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._watch.step(self._file.tell(), self._size)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _is_right(path: Path, file: HubFile, watch: Watch) -> bool:
    if path.stat().st_size != file.size:
        return False
    return digest(path, file.algorithm, lambda _: watch.check()) == file.hash


def _check_room(folder: Path, listing: Listing) -> None:
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    needed = listing.size - here
    if needed > free:
        raise InputError(
            f"{folder.parent} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: free "
            "some space, or set NAPARI_AMODAL_WEIGHTS to another folder"
        )


def _tidy(folder: Path, wanted: set[str]) -> None:
    """Remove what earlier attempts left."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


@contextmanager
def _alone(weight: Weight) -> Iterator[None]:
    """See to it that no other process fetches the same weight."""
    from filelock import FileLock, Timeout

    lock = folders()[0] / f".{weight.name}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise CallError(f"{weight.name} is being fetched by another process") from None


@contextmanager
def _no_bars_of_the_hub() -> Iterator[None]:
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _hub_errors_told(weight: Weight) -> Iterator[None]:
    """Tell what the hub's client raises as an error for a person."""
    try:
        yield
    except (InputError, Cancelled):
        raise
    except Exception as error:  # its kinds of error come from HTTP libraries that change
        told = str(error).strip().splitlines()
        reason = told[0] if told else type(error).__name__
        raise InputError(
            f"{weight.name} could not be fetched: {reason}; what has come is kept, run the same "
            "command to go on"
        ) from error
