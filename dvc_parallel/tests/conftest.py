"""A small pipeline whose stages a test can hold, fail or kill, run with the real DVC."""

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from dvc.repo import Repo

from dvc_parallel.__main__ import guarded, main

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds

# Writes what it reads, and a line into log.txt as it starts and as it ends. The file
# control/NAME, which DVC does not know of, makes it fail, end by a signal, or wait until the
# file is gone, or leave a process behind that prints later and then writes the file "said".
# Both lie in the workspace, and an experiment's steps are called EXPERIMENT.NAME there.
STEP = """
import os, signal, subprocess, sys, time
from pathlib import Path

name, out, *ins = sys.argv[1:]
workspace = Path(os.environ["DVC_ROOT"])
label = ".".join([*filter(None, [os.environ.get("DVC_EXP_NAME")]), name])
control = workspace / "control" / label
order = control.read_text() if control.exists() else ""

def log(what):
    with open(workspace / "log.txt", "a") as file:
        file.write(f"{label} {what} {os.getpid()}\\n")

if order == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
log("start")
while order in ("hold", "stubborn") and control.exists():
    time.sleep(0.02)
if order == "leave":
    later = "time.sleep(0.5); print(1, flush=True); pathlib.Path('said').touch()"
    subprocess.Popen([sys.executable, "-c", f"import pathlib, time; {later}"])
if order == "fail":
    print("what went wrong")
    sys.exit(3)
if order.startswith("SIG"):
    os.kill(os.getpid(), getattr(signal, order))
Path(out).write_text("".join(Path(i).read_text() for i in ins) + name + "\\n")
log("end")
"""

DVC_YAML = """
stages:
  fetch:
    cmd: python step.py fetch data.txt
    deps: [step.py]
    params: [fetch]
    outs: [data.txt]
  train:
    foreach: [1, 2, 3]
    do:
      cmd: python step.py train-${item} model-${item}.txt data.txt
      deps: [step.py, data.txt]
      outs: ["model-${item}.txt"]
      meta: {threads: "${threads}"}
  select:
    cmd: python step.py select best.txt model-1.txt model-2.txt model-3.txt
    deps: [step.py, model-1.txt, model-2.txt, model-3.txt]
    params: [select]
    outs: [best.txt]
"""

# DVC would report each call, and look for its updates, in a process of its own.
ENVIRONMENT = (
    {"DVC_NO_ANALYTICS": "1", "CI": "1"}
    | {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DVC_", "DASK_", "GIT_"))
    }
    | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
)
os.environ.update(ENVIRONMENT)


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for that; AssertionError if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(process: psutil.Process) -> bool:
    """Whether it runs; not if it has ended and nobody has taken its exit code."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def call(
    folder: Path, *command: str, environment: dict[str, str] = ENVIRONMENT, standard_input: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=standard_input,
        text=True,
        capture_output=True,
        timeout=PATIENCE,
    )


def dvc(folder: Path, *arguments: str) -> str:
    done = call(folder, sys.executable, "-m", "dvc", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    done = call(folder, "git", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parallel(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in this process: in one of its own, most of the time would be DVC's import."""
    output, errors = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(output), redirect_stderr(errors):
        code = guarded(partial(main, arguments))
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


class Pipeline(NamedTuple):
    """A workspace in which `fetch`, `train@1..3` and `select` can be run."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return parallel(self.folder, *arguments)

    def planned(self, *arguments: str) -> set[str]:
        """The stages of which `--dry` tells."""
        ended = self.run("--dry", *arguments)
        assert ended.returncode == 0, ended.stderr
        if ended.stdout.startswith("nothing to do"):
            return set()
        return {line.split()[-1] for line in ended.stdout.splitlines()[1:-1]}

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen]:
        """Started in the background; killed if the test leaves it running."""
        with subprocess.Popen(
            [sys.executable, "-m", "dvc_parallel", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # as a shell does
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def order(self, name: str, what: str) -> Path:
        path = self.folder / "control" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(what)
        return path

    def log(self) -> list[tuple[str, str, int]]:
        """(name, start or end, process id) of each step, as it happened."""
        path = self.folder / "log.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(name, what, int(number)) for name, what, number in map(str.split, lines)]

    def started(self) -> list[str]:
        return [name for name, what, _ in self.log() if what == "start"]

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()

    def step(self, name: str) -> psutil.Process:
        """The running process of a step."""
        *_, number = (number for step, what, number in self.log() if step == name)
        return psutil.Process(number)

    def kill_worker(self, process: subprocess.Popen) -> None:
        """Kill the only worker of a run with `--jobs 1`.

        A step's parent may be a shell: dash stays between DVC and the command, bash does not.
        """
        (worker,) = psutil.Process(process.pid).children()
        worker.kill()


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The workspace before and after a serial `dvc repro`."""
    fresh = tmp_path_factory.mktemp("fresh")
    (fresh / "step.py").write_text(STEP)
    (fresh / "dvc.yaml").write_text(DVC_YAML)
    (fresh / "params.yaml").write_text("fetch: 1\nselect: 1\nthreads: 1\n")
    git(fresh, "init", "-q", "-b", "main")
    Repo.init(str(fresh)).close()
    (fresh / ".gitignore").write_text("/control\n/log.txt\n")
    git(fresh, "add", "-A")
    git(fresh, "commit", "-q", "-m", "fresh")
    done = tmp_path_factory.mktemp("done") / "serial"
    shutil.copytree(fresh, done, symlinks=True)
    with chdir(done), Repo() as repo:
        repo.reproduce()
    (done / "log.txt").unlink()
    return fresh, done


@pytest.fixture
def fresh(templates: tuple[Path, Path], tmp_path: Path) -> Pipeline:
    """Nothing has run yet."""
    return Pipeline(shutil.copytree(templates[0], tmp_path / "workspace", symlinks=True))


@pytest.fixture
def done(templates: tuple[Path, Path], tmp_path: Path) -> Pipeline:
    """Everything has run."""
    return Pipeline(shutil.copytree(templates[1], tmp_path / "workspace", symlinks=True))


@pytest.fixture
def serial(templates: tuple[Path, Path]) -> bytes:
    """What a serial `dvc repro` writes to dvc.lock."""
    return (templates[1] / "dvc.lock").read_bytes()
