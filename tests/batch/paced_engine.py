"""An engine of a known pace that tells each clip that it begins, for tests of batches.

It is found through an entry point of its own, so that other processes find it too (`install`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from napari_amodal.clip import Clip
from napari_amodal.progress import Watch
from napari_amodal.registry import Engine
from napari_amodal.stages import Query, VisibleTrack
from still_engine import StillSettings, StillTracker


@dataclass(frozen=True)
class PacedSettings(StillSettings):
    log: str = ""
    device: str = "cpu"
    deadly: str = ""  # the clip that kills its process


class PacedTracker(StillTracker):
    """Holds the object still, and writes a line for each clip: its name and this process."""

    settings_type: ClassVar[type] = PacedSettings

    def track(
        self, clip: Clip, queries: Mapping[int, Query], watch: Watch
    ) -> Mapping[int, VisibleTrack]:
        with Path(self.settings.log).open("a") as log:
            log.write(f"{clip.name} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        if clip.name == self.settings.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().track(clip, queries, watch)


PACED = Engine("paced", "Holds the object still, at a pace", "paced", "paced-open", "paced-same")

_ENTRY_POINTS = """
[napari_amodal.trackers]
paced = paced_engine:PacedTracker
[napari_amodal.occlusion_reasoners]
paced-open = still_engine:OpenReasoner
[napari_amodal.completers]
paced-same = still_engine:SameCompleter
[napari_amodal.engines]
paced = paced_engine:PACED
"""


def install(folder: Path) -> str:
    """Make the engine a package of its own in `folder`; gives the ``PYTHONPATH`` that finds it."""
    info = folder / "paced_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paced-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    here = Path(__file__).resolve()
    before = os.environ.get("PYTHONPATH")
    paths = [str(folder), str(here.parent), str(here.parents[1])]
    return os.pathsep.join([*paths, before] if before else paths)
