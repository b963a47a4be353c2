"""How far the completion of an object is, step by step and in words."""

from __future__ import annotations

from collections.abc import Sequence

from napari_amodal.progress import FrameMask, Watch
from napari_amodal.tabe.diffusion_completer import DiffusionSettings

#: What steps cost beside each other, for the progress: fitting, sampling, reading out a frame.
_FIT_COST, _SAMPLE_COST, _READ_COST = 2, 5, 1


class CompletionSteps:
    """Counts what is done of an object's work, and says what is being done."""

    def __init__(self, watch: Watch, settings: DiffusionSettings, chunks: Sequence[range]) -> None:
        self.watch, self._settings = watch, settings
        self._sampled = settings.sampling_steps * len(chunks)
        self._video = self._sampled * _SAMPLE_COST + sum(map(len, chunks)) * _READ_COST
        self._fit = settings.fit_steps * _FIT_COST
        self._done = 0
        self._detail = ""

    def loading(self) -> None:
        self._say(0, "loading the networks")

    def fitted(self, count: int) -> None:
        self._say(count * _FIT_COST, f"fitting, step {count} of {self._settings.fit_steps}")

    def fit_is_kept(self) -> None:
        """An earlier run's fit is taken: it is no part of this one's work."""
        self._fit = 0

    def sampled(self, number: int, count: int) -> None:
        """`count` steps of a hypothesis are made, over all chunks."""
        self._say(
            self._fit + number * self._video + count * _SAMPLE_COST,
            f"{self._named(number)}, step {count} of {self._sampled}",
        )

    def read(self, number: int) -> None:
        """A frame of a hypothesis was read out."""
        self._say(self._done + _READ_COST, f"{self._named(number)}, finding its masks")

    def show(self, mask: FrameMask) -> None:
        self.watch.step(self._done, self._total, mask, self._detail)

    def _named(self, number: int) -> str:
        return f"hypothesis {number + 1} of {self._settings.hypotheses}"

    @property
    def _total(self) -> int:
        return self._fit + self._settings.hypotheses * self._video

    def _say(self, done: int, detail: str) -> None:
        self._done, self._detail = done, detail
        self.watch.step(done, self._total, detail=detail)
