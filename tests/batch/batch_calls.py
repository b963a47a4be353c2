"""Calls of the installed batch command, and what they leave."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).with_name("napari-amodal")
CLIPS = ("clip-1", "clip-2", "clip-3", "clip-4", "clip-5", "clip-10")
FRAMES = 6


@dataclass
class Paced:
    """The command over the set, with the paced engine."""

    dataset: Path
    out: Path
    log: Path
    environment: dict[str, str]

    def start(self, *arguments: object, pause: float = 0.0) -> subprocess.Popen[str]:
        settings = [f"paced.log={self.log}", f"paced.pause={pause}"]
        call = [COMMAND, "batch", self.dataset, "--out", self.out, "--engine", "paced"]
        for setting in settings:
            call += ["--set", setting]
        return subprocess.Popen(
            [*map(str, call), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def begun(self) -> list[str]:
        """The clips that were begun, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[0] for line in lines]


def is_complete(out: Path, name: str) -> bool:
    return len(list((out / name / "gt_masks").glob("*.png"))) == FRAMES
