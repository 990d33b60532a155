"""Runs a small pipeline with the real DVC, on this process's machine and on a real cluster."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from fashion_mnist import dag, parallel
from fashion_mnist.errors import InputError
from tests.processes import PATIENCE, alive, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and process groups")

ROOT = Path(__file__).parents[1]

# Writes what it reads, and a line into log.txt as it starts and as it ends. The file
# control/NAME, which DVC does not know of, makes it fail, or end
# by a signal, or wait until the file is gone.
STEP = """
import os, signal, sys, time
from pathlib import Path

name, out, *ins = sys.argv[1:]
control = Path("control", name)
order = control.read_text() if control.exists() else ""

def log(what):
    with open("log.txt", "a") as file:
        file.write(f"{name} {what} {os.getpid()}\\n")

if order == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
log("start")
while order in ("hold", "stubborn") and control.exists():
    time.sleep(0.02)
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
  select:
    cmd: python step.py select best.txt model-1.txt model-2.txt model-3.txt
    deps: [step.py, model-1.txt, model-2.txt, model-3.txt]
    params: [select]
    outs: [best.txt]
"""

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("DVC_", "DASK_", "GIT_"))
} | {
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, text=True, capture_output=True, timeout=60
    )


def dvc(folder: Path, *arguments: str) -> None:
    done = call(folder, sys.executable, "-m", "dvc", *arguments)
    assert done.returncode == 0, done.stderr


class Pipeline(NamedTuple):
    """A workspace in which `fetch`, `train@1..3` and `select` can be run."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fashion_mnist.parallel", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return call(self.folder, *self.command(*arguments))

    def plan(self, *targets: str) -> dict[str, frozenset[str]]:
        with chdir(self.folder), dag.workspace() as repo:
            return dag.plan(repo, targets).needs

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen]:
        """Started in the background; killed if the test leaves it running."""
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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


def in_order(log: list[tuple[str, str, int]]) -> bool:
    """Whether each step started after the end of those that it needs."""
    events = [f"{name} {what}" for name, what, _ in log]
    trains = [f"train-{k}" for k in (1, 2, 3)]
    return all(
        events.index("fetch end") < events.index(f"{train} start")
        and events.index(f"{train} end") < events.index("select start")
        for train in trains
    )


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The workspace before and after a serial `dvc repro`."""
    fresh = tmp_path_factory.mktemp("fresh")
    (fresh / "step.py").write_text(STEP)
    (fresh / "dvc.yaml").write_text(DVC_YAML)
    (fresh / "params.yaml").write_text("fetch: 1\nselect: 1\ntrain: {threads: 1}\n")
    call(fresh, "git", "init", "-q")
    dvc(fresh, "init", "-q")
    dvc(fresh, "config", "core.analytics", "false")
    done = tmp_path_factory.mktemp("done") / "serial"
    shutil.copytree(fresh, done)
    dvc(done, "repro", "-q")
    (done / "log.txt").unlink()
    return fresh, done


@pytest.fixture
def fresh(templates: tuple[Path, Path], tmp_path: Path) -> Pipeline:
    """Nothing has run yet."""
    return Pipeline(shutil.copytree(templates[0], tmp_path / "workspace"))


@pytest.fixture
def done(templates: tuple[Path, Path], tmp_path: Path) -> Pipeline:
    """Everything has run."""
    return Pipeline(shutil.copytree(templates[1], tmp_path / "workspace"))


@pytest.fixture
def serial(templates: tuple[Path, Path]) -> bytes:
    """What a serial `dvc repro` writes to dvc.lock."""
    return (templates[1] / "dvc.lock").read_bytes()


class Cluster(NamedTuple):
    """A scheduler and two workers, each a process of its own."""

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
    # Not the project's directory and not on its path: a worker need not know the project.
    environment = ENVIRONMENT | {"PYTHONPATH": ""}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options],
            cwd=folder,
            env=environment,
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


def test_runs_what_is_ready_at_once_but_never_more_than_jobs(
    fresh: Pipeline, serial: bytes
) -> None:
    held = [fresh.order(f"train-{k}", "hold") for k in (1, 2)]
    with fresh.running("--jobs", "2") as process:
        until(lambda: {"train-1", "train-2"} <= set(fresh.started()), "two at once")
        time.sleep(1)
        assert "train-3" not in fresh.started()
        held[1].unlink()
        until(lambda: "train-3" in fresh.started(), "the third")
        held[0].unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert "5 of 5 stages done" in output
    assert "train@1 | > python step.py train-1" in output
    assert in_order(fresh.log())
    assert fresh.lock() == serial


def test_starts_no_dask_when_nothing_is_stale(done: Pipeline) -> None:
    ended = call(done.folder, sys.executable, "-X", "importtime", "-m", "fashion_mnist.parallel")
    assert ended.returncode == 0
    assert ended.stdout == "nothing to do: 5 of 5 stages are up to date\n"
    assert "dvc.repo" in ended.stderr
    assert "distributed" not in ended.stderr
    assert done.started() == []


def test_plans_only_what_is_stale(done: Pipeline) -> None:
    assert done.plan() == {}
    done.edit("params.yaml", "select: 1", "select: 2")
    assert done.plan() == {"select": set()}
    assert done.plan("fetch") == {}
    done.edit("params.yaml", "fetch: 1", "fetch: 2")
    trains = {f"train@{k}": {"fetch"} for k in (1, 2, 3)}
    assert done.plan() == {"fetch": set(), **trains, "select": trains.keys()}
    assert done.plan("train@1") == {"fetch": set(), "train@1": {"fetch"}}


def test_leaves_what_a_frozen_stage_needs_alone(done: Pipeline) -> None:
    done.edit("dvc.yaml", "  select:\n", "  select:\n    frozen: true\n")
    done.edit("params.yaml", "fetch: 1", "fetch: 2")
    assert done.plan("select") == {}


def test_runs_no_command_whose_result_is_known(done: Pipeline) -> None:
    done.edit("params.yaml", "fetch: 1", "fetch: 2")  # its output stays as it is
    (done.folder / "model-2.txt").unlink()
    ended = done.run("train@1", "train@2")
    assert ended.returncode == 0
    assert "to run: 3 of 3 stages" in ended.stdout
    assert "train@1 | Stage 'train@1' didn't change, skipping" in ended.stdout
    assert "train@2 | Stage 'train@2' is cached - skipping run" in ended.stdout
    assert (done.folder / "model-2.txt").exists()
    assert done.started() == ["fetch"]


def test_a_failure_stops_only_what_needs_it(done: Pipeline) -> None:
    done.edit("dvc.yaml", "python step.py train", "python  step.py train")
    done.order("train-2", "fail")
    ended = done.run()
    assert ended.returncode == 1
    assert ended.stderr == ""
    _, report = ended.stdout.split("\nfailed: ")
    assert report.startswith("train@2; its last lines:\n")
    assert "what went wrong\nERROR: failed to reproduce 'train@2'" in report
    assert "not run: select\n2 of 4 stages done" in report
    assert "memory" not in report
    assert {name for name, what, _ in done.log() if what == "end"} == {"train-1", "train-3"}
    assert done.plan() == {"train@2": set(), "select": {"train@2"}}


@pytest.mark.parametrize(
    ("how", "shell"),
    [
        ("SIGKILL", ""),
        ("SIGABRT", ""),
        ("SIGSEGV", " || exit $?"),  # then the shell cannot become the step, and tells of it
    ],
)
def test_a_stage_that_the_system_ends_is_said_to_be_short_of_memory(
    done: Pipeline, how: str, shell: str
) -> None:
    done.edit("dvc.yaml", "model-2.txt model-3.txt\n", f"model-2.txt model-3.txt{shell}\n")
    held = done.order("select", how)
    done.edit("params.yaml", "select: 1", "select: 2")
    ended = done.run()
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert (
        "\nthe operating system ended it, probably for want of memory: "
        "lower --jobs or the batch size and run it again\n0 of 1 stages done"
    ) in ended.stdout
    held.unlink()
    assert done.run().returncode == 0


@pytest.mark.parametrize(
    ("number", "code", "order"),
    [
        (signal.SIGINT, 130, "hold"),
        (signal.SIGTERM, 143, "stubborn"),
        (signal.SIGKILL, -9, "hold"),
    ],
)
def test_an_interrupted_run_leaves_no_child_and_can_go_on(
    done: Pipeline, number: int, code: int, order: str
) -> None:
    done.edit("params.yaml", "select: 1", "select: 2")
    held = done.order("select", order)
    with done.running() as process:
        until(lambda: done.started() == ["select"], "the stage")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3  # the leash, DVC and the step, perhaps with a shell
        sent = time.monotonic()
        process.send_signal(number)
        output = process.communicate(timeout=PATIENCE)[0]
        assert time.monotonic() - sent < 5
    assert process.returncode == code, output
    if number != signal.SIGKILL:
        assert "select | stopped" in output
        assert not any(map(alive, children))
    until(lambda: not any(map(alive, children)), "the orphans to end")
    held.unlink()
    assert done.plan() == {"select": set()}
    if order != "stubborn":  # the one that was killed in the midst of its work
        return
    ended = done.run()
    assert ended.returncode == 0, ended.stdout
    assert [(name, what) for name, what, _ in done.log()] == [
        ("select", what) for what in ("start", "start", "end")
    ]


def test_runs_on_a_cluster(fresh: Pipeline, serial: bytes, cluster: Cluster) -> None:
    ended = fresh.run("--scheduler", cluster.address)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "to run: 5 of 5 stages, 4 at a time" in ended.stdout
    assert "train@3 | done" in ended.stdout
    assert in_order(fresh.log())
    assert fresh.lock() == serial
    # An interrupt reaches what runs there.
    fresh.edit("params.yaml", "select: 1", "select: 2")
    fresh.order("select", "hold")
    (fresh.folder / "log.txt").unlink()
    with fresh.running("--scheduler", cluster.address) as process:
        until(lambda: fresh.started() == ["select"], "the stage")
        step = fresh.step("select")
        assert cluster.worker_of(step)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 130
    assert not alive(step)


def test_a_killed_workers_stage_is_run_on_the_other(
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


def test_a_second_run_is_refused_and_disturbs_nothing(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        beside = fresh.run()
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert beside.returncode == 1
    assert beside.stderr == (
        f"error: another run is under way in this workspace (process {process.pid}): "
        "wait for it or stop it\n"
    )
    assert process.returncode == 0, output
    assert fresh.lock() == serial
    assert sorted(fresh.started()) == ["fetch", "select", "train-1", "train-2", "train-3"]


def test_dvc_beside_a_run_refuses_and_disturbs_nothing(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        beside = call(fresh.folder, sys.executable, "-m", "dvc", "repro")
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert beside.returncode != 0
    assert "is busy, it is being blocked by" in beside.stderr
    assert process.returncode == 0, output
    assert fresh.lock() == serial
    assert sorted(fresh.started()) == ["fetch", "select", "train-1", "train-2", "train-3"]


def test_a_run_beside_dvc_refuses_and_disturbs_nothing(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-q"], cwd=fresh.folder, env=ENVIRONMENT
    ) as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        beside = fresh.run("train@1")
        held.unlink()
        assert process.wait(PATIENCE) == 0
    assert beside.returncode == 1
    assert "is busy, it is being blocked by" in beside.stderr
    assert len(beside.stderr.splitlines()) == 1
    assert fresh.lock() == serial
    assert sorted(fresh.started()) == ["fetch", "select", "train-1", "train-2", "train-3"]


@pytest.mark.parametrize("length", [0, 200, -1])
def test_a_dvc_lock_that_was_cut_off_is_made_again(
    done: Pipeline, serial: bytes, length: int
) -> None:
    (done.folder / "dvc.lock").write_bytes(serial[:length])
    ended = done.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "dvc.lock is damaged: it is now " in ended.stdout
    assert (done.folder / ".dvc/tmp/dvc.lock").read_bytes() == serial[:length]
    assert done.lock() == serial
    assert done.started() == []


def test_a_lock_of_another_pipeline_that_was_cut_off_is_made_again(done: Pipeline) -> None:
    other = done.folder / "other"
    other.mkdir()
    (other / "dvc.yaml").write_text(
        "stages: {copy: {cmd: python ../step.py copy copy.txt, outs: [copy.txt]}}"
    )
    assert done.run("other/dvc.yaml").returncode == 0
    whole = (other / "dvc.lock").read_bytes()
    (other / "dvc.lock").write_bytes(whole[:50])
    ended = done.run()
    assert ended.returncode == 0, ended.stderr
    assert f"{Path('other', 'dvc.lock')} is damaged: it is now " in ended.stdout
    assert done.run("other/dvc.yaml").returncode == 0
    assert (other / "dvc.lock").read_bytes() == whole


def test_a_run_keeps_the_order_that_another_pipeline_still_needs(done: Pipeline) -> None:
    note = done.folder / ".dvc/tmp/lock-order.json"
    noted = {str(done.folder / "other/dvc.lock"): ["row@b", "row@a"]}
    note.write_text(json.dumps(noted))
    assert done.run().returncode == 0
    assert json.loads(note.read_text()) == noted


def test_an_edit_between_two_stages_is_told(fresh: Pipeline) -> None:
    held = fresh.order("train-3", "hold")
    with fresh.running() as process:
        until(lambda: ("train-1", "end") in {step[:2] for step in fresh.log()}, "the first")
        fresh.edit("params.yaml", "fetch: 1", "fetch: 2")
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 1, output
    assert "was edited in the meantime, which makes fetch, train@1, train@2, train@3" in output
    assert fresh.run().returncode == 0
    assert fresh.run().stdout.startswith("nothing to do")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, "failed"])
def test_a_run_that_is_gone_on_with_leaves_the_order_of_a_single_one(
    fresh: Pipeline, serial: bytes, how: signal.Signals | str
) -> None:
    control = fresh.order("train-1", "fail" if how == "failed" else "hold")
    with fresh.running("--jobs", "2") as process:
        until(lambda: (fresh.folder / "dvc.lock").exists(), "the first stage")
        until(lambda: b"train@2:" in fresh.lock() and b"train@3:" in fresh.lock(), "the others")
        if how != "failed":
            process.send_signal(how)
        assert process.wait(PATIENCE) != 0
    assert b"train@1:" not in fresh.lock()
    control.unlink()
    assert fresh.run().returncode == 0
    assert fresh.lock() == serial


def test_bad_input_is_one_sentence(done: Pipeline) -> None:
    ended = done.run("trian")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: Stage 'trian' not found inside 'dvc.yaml' file\n"
    ended = done.run("--jobs", "0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: --jobs must be a whole number, 1 or more, not 0\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stages:", "stages: [", r"'dvc.yaml', YAML file structure is corrupted \(line \d+\)$"),
        ("[1, 2, 3]", "${absent}", "Could not find 'absent'"),
        ("[step.py, data.txt]", "[step.py, best.txt]", "both a dependency and an output"),
        ("cmd:", "command:", "dvc.yaml' validation failed.*command"),
    ],
)
def test_a_bad_dvc_yaml_is_one_sentence(done: Pipeline, old: str, new: str, said: str) -> None:
    done.edit("dvc.yaml", old, new)
    with pytest.raises(InputError, match=said) as error:
        done.plan()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("threads", ["0", "two", "1.5", "[1]"])
def test_bad_threads_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"train: {{threads: {threads}}}")
    with pytest.raises(InputError, match=r"train\.threads must be a whole number, 1 or more"):
        parallel._threads_of_a_stage()


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1"):
        with (
            pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"),
            parallel._cluster(address, None, 1),
        ):
            pass


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with dask(tmp_path, workers=0) as cluster:
        monkeypatch.setattr(parallel, "PATIENCE", 1)
        with (
            pytest.raises(InputError, match="has no workers"),
            parallel._cluster(cluster.address, None, 1),
        ):
            pass


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "epoch  3/10  loss 0.2841  accuracy 0.8967  val_loss 0.2512  val_accuracy 0.9080"
            "  12.3 s",
            "epoch 3/10  validation accuracy 0.9080  1:26 left",
        ),
        ("epoch 10/10  val_accuracy 0.9080", "epoch 10/10  validation accuracy 0.9080"),
        ("epoch 1/2", "epoch 1/2"),
        ("wrote models/model-1.h5 in 3.1 s", None),
    ],
)
def test_progress(line: str, said: str | None) -> None:
    assert parallel.progress(line) == said


def test_a_terminal_shows_epochs_in_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with parallel._screen({"train@1": None, "select": None}) as show:
        show("train@1", "hello", False)
        show("train@1", "epoch 1/4  val_accuracy 0.9000  2.0 s", False)
        time.sleep(0.5)
        show("train@1", "done in 8.0 s", True)
    shown = terminal.getvalue()
    assert "train@1 | hello\n" in shown
    assert "epoch 1/4  validation accuracy 0.9000  0:06 left" in shown
    assert "val_accuracy" not in shown
    assert "train@1 | done in 8.0 s\n" in shown


def test_the_longest_way_to_the_end_goes_first() -> None:
    needs = {"a": [], "b": [], "c": ["b"], "d": ["c"], "e": [], "f": ["e"]}
    urgency = parallel._urgency({stage: frozenset(upper) for stage, upper in needs.items()})
    assert sorted(needs, key=urgency) == ["b", "c", "e", "a", "d", "f"]


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        ('{"write": {"/a": {"pid": 1', False),
        ("", False),
        ('{"write": {"/a": {"pid": 999999999, "cmd": "dvc repro"}}, "read": {}}', False),
        ('{"write": {}, "read": {"/a": [{"pid": OWN, "cmd": "dvc repro"}]}}', False),
        ('{"write": {}, "read": {"/a": [{"pid": DVC, "cmd": "dvc repro"}]}}', True),
    ],
)
def test_forgets_the_claims_of_the_dead(tmp_path: Path, content: str, stays: bool) -> None:
    path = tmp_path / "rwlock"
    with subprocess.Popen(["/bin/sh", "-c", "read line", "dvc"], stdin=subprocess.PIPE) as live:
        path.write_text(content.replace("OWN", str(os.getpid())).replace("DVC", str(live.pid)))
        dag._forget_dead_claims(path)
        assert path.exists() == stays
        live.stdin.close()
