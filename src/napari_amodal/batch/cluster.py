"""A batch on a dask.distributed cluster: one clip a task, one task a worker at a time.

No more clips are handed out than there are workers, so that a worker that dies takes one clip with
it; that one goes to the next worker. Results stay on the file system that all machines share.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from napari_amodal.batch.clip_job import ClipJob, complete_clip
from napari_amodal.batch.outcome import Outcome, Status
from napari_amodal.errors import CallError, Cancelled
from napari_amodal.workers import IsCancelled

#: The resource that workers offer, one for each card: ``dask worker --resources GPU=1``.
CARD = "GPU"

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_LOOKS = 0.2
#: A running clip asks this seldom over the network whether it is to stop.
_SECONDS_BETWEEN_ASKING = 2.0


def complete_on_cluster(
    jobs: Sequence[ClipJob],
    address: str,
    *,
    resource: str | None = CARD,
    is_cancelled: IsCancelled = lambda: False,
    on_note: Callable[[str], None] = lambda note: None,
) -> Iterator[Outcome]:
    """Complete clips on the workers of a scheduler, and give each as it ends.

    Parameters
    ----------
    jobs : sequence of ClipJob
        Their paths are the same on every machine.
    address : str
        Of the scheduler, as ``tcp://host:8786``.
    resource : str or None
        What a worker must offer one of for each clip; None: any worker takes one clip a thread.
    is_cancelled : callable
        Asked several times a second.
    on_note : callable
        Called with what people are to be told.

    Raises
    ------
    CallError
        `distributed` is not installed, nobody answers at the address, or workers are there and
        none offers the resource.
    Cancelled
        `is_cancelled` said so; running clips end within seconds, and write nothing.
    """
    client = _connect(address)
    try:
        _check_resource(client, resource)
        yield from _Handing(client, jobs, resource, on_note).run(is_cancelled)
    finally:
        client.close()


def _connect(address: str) -> Any:
    if find_spec("distributed") is None:
        raise CallError("--scheduler needs dask.distributed: pip install 'napari-amodal[cluster]'")
    from distributed import Client

    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CallError(f"no scheduler answers at {address}: {told}") from error


def _slots(client: Any, resource: str | None) -> int:
    """How many clips the workers that are there take at one time."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if resource is None:
        return sum(int(worker["nthreads"]) for worker in workers)
    offers = (
        min(int(worker.get("resources", {}).get(resource, 0)), int(worker["nthreads"]))
        for worker in workers
    )
    return sum(offers)


def _check_resource(client: Any, resource: str | None) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if workers and not _slots(client, resource):
        raise CallError(
            f"none of the {len(workers)} workers offers the resource {resource}: start one worker "
            f"a card with `dask worker ADDRESS --nthreads 1 --resources {resource}=1`"
        )


class _Handing:
    """The clips that are out, and those that wait."""

    def __init__(
        self,
        client: Any,
        jobs: Sequence[ClipJob],
        resource: str | None,
        on_note: Callable[[str], None],
    ) -> None:
        from distributed import Event

        self._client = client
        self._waiting = deque(jobs)
        self._out: dict[Any, ClipJob] = {}
        self._resources = {resource: 1} if resource else None
        self._resource = resource
        self._on_note = on_note
        self._told_of_waiting = False
        self._stop = f"napari-amodal-stop-{uuid4().hex}"
        self._event = Event(self._stop, client=client)

    def run(self, is_cancelled: IsCancelled) -> Iterator[Outcome]:
        try:
            while self._waiting or self._out:
                if is_cancelled():
                    raise Cancelled("the run was cancelled")
                self._hand_out()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for future in [future for future in self._out if future.done()]:
                    yield self._outcome(future, self._out.pop(future))
        finally:
            if self._out:
                self._event.set()
                self._client.cancel(list(self._out))

    def _hand_out(self) -> None:
        slots = _slots(self._client, self._resource)
        if not slots and not self._told_of_waiting:
            self._told_of_waiting = True
            self._on_note("waiting for workers")
        while self._waiting and len(self._out) < slots:
            job = self._waiting.popleft()
            future = self._client.submit(
                _complete,
                job,
                self._stop,
                key=f"{job.name}-{uuid4().hex}",
                resources=self._resources,
                pure=False,
            )
            self._out[future] = job

    def _outcome(self, future: Any, job: ClipJob) -> Outcome:
        try:
            outcome: Outcome = future.result()
        except Exception as error:  # a worker that cannot import us, or a clip that kills workers
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            return Outcome(job.name, Status.FAILED, reason=told, trace=str(error))
        return outcome


def _complete(job: ClipJob, stop: str) -> Outcome:
    """A task: complete one clip, in the worker."""
    return complete_clip(job, _Asking(stop))


class _Asking:
    """Asks the scheduler whether the batch was stopped, but not at every step."""

    def __init__(self, stop: str) -> None:
        from distributed import Event

        self._event = Event(stop)
        self._next = time.monotonic() + _SECONDS_BETWEEN_ASKING
        self._stopped = False

    def __call__(self) -> bool:
        if not self._stopped and time.monotonic() >= self._next:
            self._stopped = bool(self._event.is_set())
            self._next = time.monotonic() + _SECONDS_BETWEEN_ASKING
        return self._stopped
