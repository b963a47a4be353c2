"""Work spread over processes: a process that dies costs the one job that it was at."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from napari_amodal.errors import Cancelled, InputError

J = TypeVar("J")
R = TypeVar("R")

#: Asked by a job now and then; it ends with `Cancelled` once this says True.
IsCancelled = Callable[[], bool]

#: A job whose process died is tried once more: the death may have been another job's fault.
_ATTEMPTS = 2
_SECONDS_TO_STOP = 5.0


class WorkerError(RuntimeError):
    """A job failed in a way that nobody foresaw, or its process died."""


@dataclass(frozen=True)
class Ended(Generic[J, R]):
    """A job that has ended.

    Attributes
    ----------
    job
    result
        What the work gave; None where it failed.
    error : InputError or WorkerError or None
        Why it failed.
    """

    job: J
    result: R | None
    error: InputError | WorkerError | None = None


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_processes(
    work: Callable[[J, IsCancelled], R],
    jobs: Iterable[J],
    environments: Sequence[Mapping[str, str]],
    is_cancelled: IsCancelled = lambda: False,
) -> Iterator[Ended[J, R]]:
    """Do jobs in processes of their own, and give each as it ends.

    Parameters
    ----------
    work : callable
        A function of a module (it is pickled), called with a job and what it asks for a cancel.
    jobs : iterable
        Taken one by one, as processes are free.
    environments : sequence of mapping
        One process for each of these, with its environment variables changed.
    is_cancelled : callable
        Asked several times a second.

    Raises
    ------
    Cancelled
        `is_cancelled` said so; all processes have ended then.
    """
    waiting: deque[tuple[J, int]] = deque()
    source = iter(jobs)
    workers: list[_Worker[J, R]] = []

    def feed(worker: _Worker[J, R]) -> None:
        if not waiting:
            following = next(source, _NOTHING)
            if following is not _NOTHING:
                waiting.append((following, 1))  # type: ignore[arg-type]
        if waiting:
            worker.take(*waiting.popleft())

    try:
        for environment in environments:
            worker: _Worker[J, R] = _Worker(work, environment)
            workers.append(worker)
            feed(worker)
            if not worker.busy:
                break
        while busy := [worker for worker in workers if worker.busy]:
            if is_cancelled():
                raise Cancelled("the run was cancelled")
            wait([worker.pipe for worker in busy], timeout=0.2)
            for worker in busy:
                ended = worker.collect()
                if ended is None:
                    continue
                if isinstance(ended, _Died):
                    workers[workers.index(worker)] = worker = _Worker(work, worker.environment)
                    if ended.attempt < _ATTEMPTS:
                        waiting.append((ended.job, ended.attempt + 1))
                    else:
                        yield Ended(ended.job, None, WorkerError(ended.told))
                else:
                    yield ended
                feed(worker)
    finally:
        for worker in workers:
            worker.tell_to_stop()
        for worker in workers:
            worker.end()


_NOTHING = object()


@dataclass(frozen=True)
class _Died(Generic[J]):
    job: J
    attempt: int
    told: str


class _Worker(Generic[J, R]):
    """One process, and the job that it is at."""

    def __init__(self, work: Callable[[J, IsCancelled], R], environment: Mapping[str, str]) -> None:
        context = get_context("spawn")  # a fork would carry the threads' locks along
        self.environment = environment
        self.pipe, theirs = context.Pipe()
        self._stop = context.Event()
        arguments = (theirs, self._stop, work, dict(environment))
        self._process = context.Process(target=_serve, args=arguments)
        self._process.start()
        theirs.close()
        self._at: tuple[J, int] | None = None

    @property
    def busy(self) -> bool:
        return self._at is not None

    def take(self, job: J, attempt: int) -> None:
        self._at = (job, attempt)
        with suppress(OSError):  # it has died; `collect` finds out
            self.pipe.send(job)

    def collect(self) -> Ended[J, R] | _Died[J] | None:
        """The job that has ended, None if it has not."""
        assert self._at is not None
        job, attempt = self._at
        try:
            if not self.pipe.poll():
                return None
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            self._at = None
            self._process.join()
            return _Died(job, attempt, _told_death(self._process.exitcode))
        self._at = None
        return Ended(job, result, error)

    def tell_to_stop(self) -> None:
        self._stop.set()
        self.pipe.close()

    def end(self) -> None:
        self._process.join(_SECONDS_TO_STOP)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _told_death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        reason = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{reason}, twice"
    return f"its process ended with status {code}, twice"


def _serve(
    pipe: Connection,
    stop: Any,
    work: Callable[[Any, IsCancelled], Any],
    environment: Mapping[str, str],
) -> None:
    """The life of a worker process: jobs until the pipe closes."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent tells us
    parent = parent_process()

    def is_cancelled() -> bool:
        return bool(stop.is_set()) or (parent is not None and not parent.is_alive())

    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = _answer(work, job, is_cancelled)
        except Cancelled:
            return
        try:
            pipe.send(answer)
        except OSError:
            return


def _answer(
    work: Callable[[Any, IsCancelled], Any], job: Any, is_cancelled: IsCancelled
) -> tuple[Any, Exception | None]:
    try:
        return work(job, is_cancelled), None
    except InputError as error:
        return None, error if _survives(error) else InputError(str(error))
    except Cancelled:
        raise
    except Exception as error:
        where = traceback.format_exc()
        return None, WorkerError(f"{type(error).__name__}: {error}\n{where}")


def _survives(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # whatever another package's error may raise
        return False
