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
        self._chunks = chunks
        self._fit = settings.fit_steps * _FIT_COST
        self._done = 0
        self._fitted = 0
        self._sampled = 0
        self._number = 0
        self._detail = ""

    def loading(self) -> None:
        self._fitted = 0
        self._say(0, "loading the networks")

    def fitted(self) -> None:
        """A step of the fit is made."""
        self._fitted += 1
        detail = f"fitting, step {self._fitted} of {self._settings.fit_steps}"
        self._say(self._fitted * _FIT_COST, detail)

    def fit_is_kept(self) -> None:
        """An earlier run's fit is taken: it is no part of this one's work."""
        self._fit = 0

    def begin(self, number: int, chunk: int) -> None:
        """A chunk of a hypothesis begins, both counted from 0; what was not needed is passed."""
        self._number, self._sampled = number, chunk * self._settings.sampling_steps
        before = number * self._cost(self._chunks) + self._cost(self._chunks[:chunk])
        self._done = self._fit + before

    def sampled(self) -> None:
        """A step of the hypothesis is made."""
        self._sampled += 1
        total = self._settings.sampling_steps * len(self._chunks)
        self._say(self._done + _SAMPLE_COST, f"{self._named}, step {self._sampled} of {total}")

    def read(self) -> None:
        """A frame of the hypothesis was read out."""
        self._say(self._done + _READ_COST, f"{self._named}, finding its masks")

    def finished(self, number: int) -> None:
        """All masks of a hypothesis are found."""
        done = self._fit + (number + 1) * self._cost(self._chunks)
        named = f"hypothesis {number + 1} of {self._settings.hypotheses}, finding its masks"
        self._say(max(self._done, done), named)

    def show(self, mask: FrameMask) -> None:
        self.watch.step(self._done, self._total, mask, self._detail)

    @property
    def _named(self) -> str:
        return f"hypothesis {self._number + 1} of {self._settings.hypotheses}"

    @property
    def _total(self) -> int:
        return self._fit + self._settings.hypotheses * self._cost(self._chunks)

    def _cost(self, chunks: Sequence[range]) -> int:
        sampling = self._settings.sampling_steps * len(chunks) * _SAMPLE_COST
        return sampling + sum(map(len, chunks)) * _READ_COST

    def _say(self, done: int, detail: str) -> None:
        self._done, self._detail = done, detail
        self.watch.step(done, self._total, detail=detail)
