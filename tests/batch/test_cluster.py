"""A batch on a real local cluster: processes of a scheduler and of workers, one of them killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_calls import CLIPS, Paced, is_complete

pytest.importorskip("distributed")

_ADDRESS = re.compile(r"tcp://[^\"]+")


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        # The file is there a moment before its text is.
        wait_until(lambda: file.exists() and _ADDRESS.search(file.read_text()))
        self.address = _ADDRESS.findall(file.read_text())[0]

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, "--host", "127.0.0.1", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / f"{what}-{len(self._processes)}.txt").open("wb"),
        )
        self._processes.append(process)
        return process

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A worker of one thread, without a nanny that would start it again."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", *arguments)
        return self._start("worker", self.address, *options)

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


def wait_until(true: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str]) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    started = Cluster(folder, environment)
    yield started
    started.close()


def test_a_killed_worker_costs_its_clip_only(paced: Paced, cluster: Cluster) -> None:
    workers = [cluster.worker("--resources", "GPU=1") for _ in range(2)]
    run = paced.start("--scheduler", cluster.address, "--set", "paced.device=auto", pause=0.3)
    wait_until(lambda: len(paced.begun()) >= 3)
    running = paced.log.read_text().splitlines()[-1]
    clip, process = running.split()[:2]
    assert int(process) in {worker.pid for worker in workers}
    assert not is_complete(paced.out, clip)
    os.kill(int(process), signal.SIGKILL)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert out.splitlines()[-1] == "6 done, 0 skipped, 0 failed"
    assert all(is_complete(paced.out, name) for name in CLIPS)
    begun = Counter(paced.begun())
    assert begun == {**dict.fromkeys(CLIPS, 1), clip: 2}
    assert [path.name for path in paced.out.iterdir() if ".partial" in path.name] == []


def test_one_clip_a_card_at_a_time(paced: Paced, cluster: Cluster) -> None:
    """Of two workers only one offers a card: it alone works, on one clip at a time."""
    cluster.worker()
    card = cluster.worker("--resources", "GPU=1")
    run = paced.start("--scheduler", cluster.address, "--set", "paced.device=auto")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    processes = {int(line.split()[1]) for line in paced.log.read_text().splitlines()}
    assert processes == {card.pid}


def test_workers_without_cards_and_a_silent_address_are_refused(
    paced: Paced, cluster: Cluster
) -> None:
    cluster.worker()
    time.sleep(3)
    run = paced.start("--scheduler", cluster.address, "--set", "paced.device=auto")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "none of the 1 workers offers the resource GPU" in err
    run = paced.start("--scheduler", "tcp://127.0.0.1:9")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "no scheduler answers at tcp://127.0.0.1:9" in err


def test_ctrl_c_stops_the_clips_on_the_workers(paced: Paced, cluster: Cluster) -> None:
    worker = cluster.worker()
    run = paced.start("--scheduler", cluster.address, pause=4.0)
    wait_until(lambda: len(paced.begun()) == 1)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    run = paced.start("--scheduler", cluster.address)
    out, err = run.communicate(timeout=60)  # the first clip would take longer if it had gone on
    assert run.returncode == 0, err
    assert "6 done" in out
    assert worker.poll() is None
