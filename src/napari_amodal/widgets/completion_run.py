"""One run as the window sees it: a job, and its masks on their way into the layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from napari.components import LayerList
from napari.layers import Labels

from napari_amodal.engine import Completion, Overrides, run
from napari_amodal.progress import Progress
from napari_amodal.registry import Engine
from napari_amodal.stages import Query
from napari_amodal.widgets.background_job import BackgroundJob
from napari_amodal.widgets.layer_origin import LayerRole
from napari_amodal.widgets.mask_patch import MaskPatch
from napari_amodal.widgets.query_layer import frame_list, read_queries
from napari_amodal.widgets.result_layer import ResultLayer
from napari_amodal.widgets.results import Edits, Results


@dataclass(frozen=True)
class RunRequest:
    """What the annotator chose for a run.

    Attributes
    ----------
    engine : Engine
    settings : mapping
        Settings that differ from the engine's.
    every_frame : bool
        Go by every frame that an object is painted on; otherwise more than one is refused.
    keep_edits : bool
        Keep the frames that the annotator corrected after an earlier run, and go by them.
    """

    engine: Engine
    settings: Overrides
    every_frame: bool = False
    keep_edits: bool = True


class CompletionRun:
    """A run into result layers; all but the job's own work happens in the window's thread."""

    def __init__(self, results: Results, query: Labels, request: RunRequest) -> None:
        self.results = results
        self.started = time.monotonic()
        #: Corrected frames that the run found, kept or given up as was asked.
        self.edits = Edits()
        self._request = request
        self._labels = query.data
        self._query_name = query.name
        self._object_ids: tuple[int, ...] = ()
        self._rest: Iterator[tuple[ResultLayer, int, MaskPatch]] | None = None
        self._shown: set[tuple[ResultLayer, int]] = set()
        self.job: BackgroundJob[Completion] = BackgroundJob(self._work)

    # -- in the worker thread ---------------------------------------------------------------------

    def _work(self, job: BackgroundJob[Completion]) -> Completion:
        job.report(Progress("Reading what is painted", 0, 1, 0.0, None))
        queries = read_queries(
            self._labels, self._query_name, every_frame=self._request.every_frame, check=job.check
        )
        queries = self._with_edits(queries, job)
        self._object_ids = tuple(sorted(queries))
        return run(
            self.results.clip,
            queries,
            self._request.engine,
            settings=self._request.settings,
            on_progress=job.report,
            is_cancelled=job.is_cancelled,
        )

    def _with_edits(
        self, queries: dict[int, Query], job: BackgroundJob[Completion]
    ) -> dict[int, Query]:
        self.edits = self.results.edits(job.check)
        if self._request.keep_edits:
            self.results.keep(self.edits)
            return self.results.with_edits(queries, self.edits)
        self.results.release(self.edits)  # nothing is written to the layers before run() begins
        return queries

    # -- in the window's thread -------------------------------------------------------------------

    @property
    def frames_shown(self) -> int:
        """Frames for which a mask has come."""
        return len({frame for _, frame in self._shown})

    def next_layer(self) -> ResultLayer | None:
        """A layer that the run is about to fill and that no viewer has yet; None: all are there."""
        return self.results.make_missing(self._object_ids)

    def show(self, deadline: float) -> tuple[set[tuple[ResultLayer, int]], bool]:
        """Write waiting masks to the layers until a moment of `time.monotonic`.

        Returns
        -------
        changed : set of (ResultLayer, int)
            Layers and frames whose pixels are others now.
        over : bool
            The job has ended and everything it found is written.
        """
        changed = set()
        for result, frame, patch in self._waiting():
            self._shown.add((result, frame))
            if result.write(frame, patch):
                changed.add((result, frame))
            if time.monotonic() > deadline:
                return changed, False
        return changed, self._rest is not None or self._failed

    @property
    def _failed(self) -> bool:
        return not self.job.is_alive and self.job.result is None

    def _waiting(self) -> Iterator[tuple[ResultLayer, int, MaskPatch]]:
        ended = not self.job.is_alive  # asked first: what it left behind is then complete
        while self.job.masks:
            ready = self.job.masks.popleft()
            result = self.results.get(LayerRole(ready.kind), ready.object_id)
            if result is not None:
                yield result, ready.frame, ready.patch
        if ended and self.job.result is not None:
            if self._rest is None:
                self._rest = self.results.patches(self.job.result)
            yield from self._rest

    @property
    def summary(self) -> str:
        """The finished run in a line or two, for people."""
        count, frames = len(self.results.object_ids), sorted(self.edits.frames)
        text = f"Done: {count} object{'s' * (count > 1)}, {len(self.results.clip)} frames"
        text += f" in {time.monotonic() - self.started:.0f} s."
        if frames:
            what = "Kept" if self._request.keep_edits else "Replaced"
            text += f" {what} your frame{'s' * (len(frames) > 1)} {frame_list(frames)}."
        return text

    def finish(self) -> None:
        """Note the finished run in the layers."""
        completion = self.job.result
        assert completion is not None
        earlier = self.results.completion
        if earlier is not None:  # objects that this run left alone keep their record
            completion = replace(completion, objects={**earlier.objects, **completion.objects})
        self.results.finish(completion)


def add_below(layers: LayerList, layer: Labels, top: Labels | None) -> None:
    """Add a layer to a viewer, under `top` if it is there, and leave the selection alone."""
    active = layers.selection.active
    layers.insert(layers.index(top) if top is not None and top in layers else len(layers), layer)
    if active is not None and active in layers:
        layers.selection.active = active
