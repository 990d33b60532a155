"""Runs on a real Dask cluster."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from dvc_parallel.tests.conftest import ENVIRONMENT, PATIENCE, Pipeline, alive, git, until

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


class Cluster(NamedTuple):
    """A scheduler and its workers, each a process of its own."""

    address: str
    workers: list[subprocess.Popen]

    def worker_of(self, step: psutil.Process) -> subprocess.Popen:
        above = {process.pid for process in step.parents()}
        return next(worker for worker in self.workers if worker.pid in above)


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[Cluster]:
    file = folder / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    commands = [
        ["dask_scheduler", "--port", "0", *common],
        *[["dask_worker", "--nthreads", "2", "--no-nanny", *common]] * workers,
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *options in commands
    ]
    try:
        from distributed import Client

        until(lambda: file.exists() and file.read_text().strip().endswith("}"), "the scheduler")
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            if workers:
                client.wait_for_workers(workers, timeout=PATIENCE)
            address = client.scheduler.address
        yield Cluster(address, processes[1:])
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with dask(tmp_path, workers=2) as running:
        yield running


def test_runs_on_a_cluster_and_leaves_nothing_there(
    fresh: Pipeline, serial: bytes, cluster: Cluster
) -> None:
    ended = fresh.run("--scheduler", cluster.address)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "to run: 5 of 5 stages on 4 cores" in ended.stdout
    assert "train@3 | done" in ended.stdout
    assert fresh.lock() == serial
    for worker in cluster.workers:
        assert not psutil.Process(worker.pid).children()
    # An interrupt reaches what runs there.
    fresh.edit("params.yaml", "select: 1", "select: 2")
    fresh.order("select", "hold")
    (fresh.folder / "log.txt").unlink()
    with fresh.running("--scheduler", cluster.address) as process:
        until(lambda: fresh.started() == ["select"], "the stage")
        step = fresh.step("select")
        assert cluster.worker_of(step)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert not alive(step)


def test_a_killed_workers_stage_runs_on_the_other(
    fresh: Pipeline, serial: bytes, cluster: Cluster
) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--scheduler", cluster.address, "--jobs", "1", "train@1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        first = fresh.step("train-1")
        victim = cluster.worker_of(first)
        victim.kill()
        until(lambda: fresh.started().count("train-1") == 2, "a second start")
        assert not alive(first)
        assert cluster.worker_of(fresh.step("train-1")) is not victim
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert "train@1 | starts again" in output
    assert fresh.lock() == serial[: len(fresh.lock())]


def test_experiments_are_spread_over_a_cluster(done: Pipeline, cluster: Cluster) -> None:
    git(done.folder, "add", "-A")
    git(done.folder, "commit", "-qm", "done")
    ended = done.run("--scheduler", cluster.address, "-S", "select=2,3", "-n", "far")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 of 2 experiments saved" in ended.stdout
    assert sorted(done.started()) == ["far-1.select", "far-2.select"]
    assert not list((done.folder / ".dvc/tmp/parallel/experiments").iterdir())


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc_parallel import cluster
    from dvc_parallel.errors import InputError

    monkeypatch.setattr(cluster, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1"):
        with (
            pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"),
            cluster.open_cluster(address, {}),
        ):
            pass


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dvc_parallel import cluster
    from dvc_parallel.errors import InputError

    with dask(tmp_path, workers=0) as running:
        monkeypatch.setattr(cluster, "PATIENCE", 1)
        with (
            pytest.raises(InputError, match="has no workers"),
            cluster.open_cluster(running.address, {}),
        ):
            pass
