"""A worker, and the process that feeds it."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvc_parallel import worker
from dvc_parallel.plan import Options, make_plan
from dvc_parallel.tests.conftest import ENVIRONMENT, PATIENCE, Pipeline, alive, until
from dvc_parallel.worker import Handle, Job, Message
from dvc_parallel.workspace import open_repo

# A worker that is slow to go on after it has sent what became of a stage.
SLOW = """
import time
from dvc_parallel import worker

class Channel(worker.Channel):
    def finish(self, outcome):
        super().finish(outcome)
        time.sleep(1)

worker.Channel = Channel
worker.main()
"""


@contextmanager
def slow_worker(folder: Path) -> Iterator[Handle]:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield Handle(process, process.stdin, process.stdout)
        finally:
            process.kill()


def outcome(handle: Handle) -> worker.Outcome:
    while True:
        message = Message(*pickle.load(handle.messages))  # noqa: S301
        if message.kind == "outcome":
            return message.content


def test_a_stage_that_starts_at_once_after_another_ends_with_the_run(
    fresh: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fresh.folder)
    with open_repo(print) as repo:
        plan = make_plan(repo, Options())
    first, second = (
        Job(str(fresh.folder), plan.steps[name].stage, (), {}) for name in ("fetch", "train@1")
    )
    fresh.order("train-1", "hold")
    with slow_worker(fresh.folder) as handle:
        worker.send(handle.jobs, first)
        assert outcome(handle).error == ""
        worker.send(handle.jobs, second)
        until(lambda: "train-1" in fresh.started(), "the stage")
        step = fresh.step("train-1")
        handle.jobs.close()  # as if the run was killed
        until(lambda: not alive(step), "the end of the stage")
        assert handle.process.wait(PATIENCE) in (-signal.SIGKILL, -signal.SIGINT)
