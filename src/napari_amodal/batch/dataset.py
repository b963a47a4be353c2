"""The clips of a set, and which of them are still to be done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_amodal.batch.clip_job import ClipJob, Method, is_done
from napari_amodal.errors import CallError
from napari_amodal.formats.images import natural_key
from napari_amodal.formats.tabe51 import is_tabe51


@dataclass(frozen=True)
class Plan:
    """A batch before it begins.

    Attributes
    ----------
    jobs : tuple of ClipJob
        What is to be done, in natural order of the names.
    done : tuple of str
        Clips that are there already.
    """

    jobs: tuple[ClipJob, ...]
    done: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All clips of the set, the done ones first."""
        return (*self.done, *(job.name for job in self.jobs))


def find_clips(dataset: Path) -> tuple[Path, ...]:
    """The clip folders of a set, in natural order of their names; or the one clip that it is.

    Raises
    ------
    CallError
        There is no such folder, or no clip in it.
    """
    if not dataset.is_dir():
        raise CallError(f"there is no folder {dataset}: give a folder of clip folders")
    dataset = dataset.resolve()
    if is_tabe51(dataset):
        return (dataset,)
    found = [
        path for path in dataset.iterdir() if not path.name.startswith(".") and is_tabe51(path)
    ]
    if not found:
        raise CallError(
            f"{dataset} holds no clip: a clip is a folder with frames/ and visible_masks/ in it"
        )
    return tuple(sorted(found, key=natural_key))


def plan_batch(
    dataset: Path,
    out: Path,
    method: Method,
    *,
    every_hypothesis: bool = False,
    overwrite: bool = False,
) -> Plan:
    """Which clips of a set are to be done; nothing is written.

    Raises
    ------
    CallError
        There is no clip, `out` is the set itself, or what lies in it was made in another way.
    """
    out = out.resolve()
    jobs, done = [], []
    for clip in find_clips(dataset):
        if clip.parent == out:
            raise CallError(f"--out {out} is the set itself: its true masks would be replaced")
        job = ClipJob(clip, out, method, every_hypothesis, overwrite)
        if not overwrite and is_done(job):
            done.append(job.name)
        else:
            jobs.append(job)
    return Plan(tuple(jobs), tuple(done))
