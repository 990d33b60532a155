"""Killed, crowded or somewhere else: the pipeline comes to the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import crash
from tests.conftest import TINY_RECIPE, Workspace
from tests.processes import PATIENCE, alive, until

POINTS = 6  # each kind of them

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signals"),
]


@pytest.fixture(scope="session")
def small_workspace(
    fresh_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """With one candidate; nothing has run here."""
    workspace = fresh_workspace.copy(tmp_path_factory.mktemp("small") / "project")
    workspace.set_params(train__splits=[1])
    return workspace


@pytest.fixture(scope="session")
def runs(
    small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, crash.Run]:
    """A whole run of `small_workspace` in each mode."""
    folder = tmp_path_factory.mktemp("whole")
    return {mode: crash.whole(small_workspace, folder / mode, mode) for mode in crash.COMMANDS}


def test_serial_and_parallel_runs_leave_the_same_files(runs: dict[str, crash.Run]):
    assert runs["serial"].files == runs["parallel"].files


@pytest.mark.parametrize("point", crash.points(POINTS), ids=str)
def test_a_run_that_was_killed_comes_to_the_same_bytes_when_run_again(
    small_workspace: Workspace, runs: dict[str, crash.Run], tmp_path: Path, point: crash.Point
):
    outcome = crash.strike(small_workspace, tmp_path / "project", runs[point.mode], point)
    # A run may be faster than the one by which the moment was chosen, and over by then.
    assert outcome.struck or point.by == "time"
    assert outcome.survived, outcome


ELSEWHERE = {
    "in another locale and time zone, on one core": (
        "over there, in a folder",
        ["taskset", "1"],
        {
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
            "TZ": "Asia/Kathmandu",
            "PYTHONHASHSEED": "1",
        },
    ),
    "in another time zone, with more threads": (
        "l\u00e0-bas",
        [],
        {"OMP_NUM_THREADS": "3", "TZ": "America/St_Johns", "PYTHONHASHSEED": "2"},
    ),
}


@pytest.mark.parametrize(("folder", "prefix", "environment"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_same_bytes_come_out_elsewhere(
    small_workspace: Workspace,
    runs: dict[str, crash.Run],
    tmp_path: Path,
    folder: str,
    prefix: list[str],
    environment: dict[str, str],
):
    # The files are made in another order, in a folder with another kind of name.
    elsewhere = Workspace(tmp_path / folder)
    elsewhere.path.mkdir()
    for path in sorted(small_workspace.path.iterdir(), reverse=True):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, elsewhere.path / path.name)
    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip(f"there is no {prefix[0]} here")
    done = elsewhere.run(*prefix, "dvc", "repro", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert elsewhere.files() == runs["serial"].files


def checkpoints(workspace: Workspace) -> list[Path]:
    return list((workspace.path / "models/checkpoints").glob("model-1-*"))


def test_a_training_continues_where_it_was_killed(workspace: Workspace, tmp_path: Path):
    workspace.set_params(recipes__quick=TINY_RECIPE | {"epochs": 40})
    command = [sys.executable, "-m", "stages.train", "model-1"]
    history = workspace.path / "plots/history/model-1.csv"
    whole = workspace.copy(tmp_path / "whole")
    assert "continues" not in whole.run(*command).stdout

    with subprocess.Popen(
        command, cwd=workspace.path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        until(lambda: "epoch  3/40" in process.stdout.readline(), "epochs")
        assert len(history.read_text().splitlines()) >= 4, "a curve grows with each epoch"
        process.kill()
    # DVC removes what a stage writes before it runs it again.
    history.unlink()
    assert checkpoints(workspace)
    done = workspace.run(*command)
    assert "model-1: continues after epoch " in done.stdout
    assert "epoch  1/40" not in done.stdout
    assert workspace.files() == whole.files()
    assert not checkpoints(workspace)


@pytest.mark.parametrize("change", ["parameters", "code", "data"])
def test_a_checkpoint_is_of_use_only_to_the_run_that_wrote_it(workspace: Workspace, change: str):
    # A checkpoint is left when the history cannot be written.
    history = workspace.path / "plots/history/model-1.csv"
    history.unlink()
    history.mkdir()
    command = ("python", "-m", "stages.train", "model-1")
    assert workspace.run(*command).returncode == 1
    history.rmdir()
    if change == "parameters":
        workspace.set_params(train__seed=7)
    elif change == "code":
        with (workspace.path / "fashion_mnist/learning/loop.py").open("a") as code:
            code.write("\n# edited\n")
    else:
        shutil.copy(
            workspace.path / "data/processed/test.npz", workspace.path / "data/processed/train.npz"
        )
    done = workspace.run(*command)
    assert done.returncode == 0, done.stderr
    assert "continues" not in done.stdout


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])  # may become its command, or wait
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dvc_that_is_stopped_leaves_no_child(workspace: Workspace, number: int, shell: str):
    workspace.set_params(recipes__quick=TINY_RECIPE | {"epochs": 1000})
    with subprocess.Popen(
        ["dvc", "repro", "train@1"],
        cwd=workspace.path,
        env=os.environ | {"SHELL": shell},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        until(lambda: checkpoints(workspace), "an epoch")
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        sent = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        assert process.wait(PATIENCE) != 0
        until(lambda: not any(map(alive, children)), "the stage to end")
        assert time.monotonic() - sent < 5


@contextmanager
def stage_of(code: str, workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """A process that runs this code as DVC runs a stage; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=workspace.path,
        env={**os.environ, "DVC_STAGE": "train@1", "PYTHONPATH": str(workspace.path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_interrupt_is_heard_while_a_library_computes(workspace: Workspace):
    busy = (
        "import hashlib\n"
        "from fashion_mnist.talk import console\n"
        "console.run(lambda: print(hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9), flush=True))"
    )
    with stage_of(busy, workspace) as process:
        until(lambda: psutil.Process(process.pid).cpu_times().user > 1, "it to compute")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 1  # by the watchdog: Python has no turn


def test_an_interrupted_stage_does_not_wait_for_a_librarys_teardown(workspace: Workspace):
    slow_to_end = (
        "import time\n"
        "from fashion_mnist.talk import console\n"
        "class Library:\n"
        "    def __del__(self, wait=time.sleep): wait(60)\n"
        "library = Library()\n"
        "console.run(lambda: print('begun', flush=True) or time.sleep(60))"
    )
    with stage_of(slow_to_end, workspace) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_a_stage_ends_with_dvc_also_when_a_library_lets_python_do_nothing(workspace: Workspace):
    stubborn = (
        "import ctypes, os, time\n"
        "from fashion_mnist.talk import console\n"
        "def main():\n"
        "    print(os.getpid(), flush=True)\n"
        "    try: time.sleep(60)\n"
        "    finally: ctypes.PyDLL(None).sleep(60)\n"
        "console.run(main)"
    )
    dvc = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])"
    with stage_of(dvc, workspace) as process:
        assert process.stdout
        stage = psutil.Process(int(process.stdout.readline()))
        sent = time.monotonic()
        process.kill()
        until(lambda: not alive(stage), "the stage to end")
        assert time.monotonic() - sent < 5


@pytest.mark.parametrize("edited", ["params.yaml", "fashion_mnist/candidates/splits.py"])
def test_an_edit_while_a_stage_runs_is_never_taken_for_what_it_ran_with(
    workspace: Workspace, edited: str
):
    recipe = TINY_RECIPE | {"epochs": 60}
    workspace.set_params(recipes__quick=recipe)
    lock = (workspace.path / "dvc.lock").read_bytes()
    with subprocess.Popen(
        ["dvc", "repro", "train@1"],
        cwd=workspace.path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        until(lambda: checkpoints(workspace), "an epoch")
        if edited == "params.yaml":
            workspace.set_params(recipes__quick=recipe | {"batch_size": 16})
        else:
            with (workspace.path / edited).open("a") as code:
                code.write("\n# edited\n")
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert f"error: {edited} was edited while this stage ran: run it again" in output
    assert (workspace.path / "dvc.lock").read_bytes() == lock
    assert checkpoints(workspace), "an edit that is taken back costs no epoch"
