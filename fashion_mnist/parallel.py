"""Run the stages of dvc.yaml that are out of date, as many at once as there are cores.

The results are those of `dvc repro`, byte for byte. Each stage is a task on Dask
Distributed that runs `dvc --wait-for-lock repro --single-item STAGE`: on this machine, or
on a cluster whose workers see this directory under the same path.

When more stages could run than may run, the one with the most stages in a row below it
goes first, and among equals the one that stands first in dvc.yaml.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import queue
import re
import signal
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from fashion_mnist import dag
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.running import console

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 10  # seconds that a scheduler has to answer, or to show a worker
TAIL = 20  # lines of a failed stage that are shown again
# Dask sets the first three for its workers: a stage computes with what the user has set,
# wherever it runs.
PASSED_ON = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "FASHION_MNIST_DIR",
    "KERAS_BACKEND",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
)
EPOCH = re.compile(r"epoch\s+(\d+)/(\d+)")
ACCURACY = re.compile(r"val_accuracy\s+(\d*\.\d+)")
SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s\s*$")
# What DVC says around a stage's own lines, and this program says in its own way.
CHATTER = re.compile(
    r"\s*$|Running stage '|(Updating|Generating) lock file '|Use `dvc push` |"
    r"To (track the changes with git|enable auto staging), run:|\s+(git add|dvc config) "
)
# DVC's last line on a command that was killed, aborted or crashed: a shell adds 128 to the signal.
KILLED = re.compile(r"exited with (-[679]|-11|13[457]|139)$")

Show = Callable[[str, str, bool], None]  # a stage, a line, whether the stage is over


def main() -> int:
    """Run the command."""
    arguments = _arguments()
    jobs = None if arguments.jobs is None else _positive("--jobs", arguments.jobs)
    signal.signal(signal.SIGTERM, _terminated)
    started = monotonic()
    with dag.workspace() as repo:
        plan = dag.plan(repo, arguments.targets)
        if not plan.needs:
            with dag.lock_order(repo, plan):
                console.say(f"nothing to do: {plan.total} of {plan.total} stages are up to date")
            return 0
        threads = _threads_of_a_stage()
        with dag.lock_order(repo, plan), _cluster(arguments.scheduler, jobs, threads) as cluster:
            client, jobs = cluster
            console.say(f"to run: {len(plan.needs)} of {plan.total} stages, {jobs} at a time")
            with _screen(plan.needs) as show:
                failed = run(client, plan.needs, jobs, Path(repo.tmp_dir), show)
    code = _report(plan.needs, failed, monotonic() - started)
    if not failed:
        _check_nothing_was_edited(arguments.targets)
    return code


def _check_nothing_was_edited(targets: list[str]) -> None:
    """A stage notices an edit while it runs, but not one between it and the next.

    Raises:
        InputError: something is stale again.
    """
    with dag.workspace() as repo:
        if stale := dag.plan(repo, targets).needs:
            raise InputError(
                "params.yaml, dvc.yaml or code was edited in the meantime, "
                f"which makes {', '.join(stale)} stale: run it again"
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fashion_mnist.parallel",
        description=__doc__,
        epilog="example: python -m fashion_mnist.parallel --jobs 2 train@1 train@2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="a stage, which is run with all that it needs (default: everything in dvc.yaml)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        help="how many stages may run at once (default: cores divided by train.threads)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        default=os.environ.get("DASK_SCHEDULER_ADDRESS"),
        help="a Dask scheduler that is already there, such as tcp://10.0.0.1:8786 "
        "(default: $DASK_SCHEDULER_ADDRESS, or else this machine alone)",
    )
    return parser.parse_args()


def _positive(name: str, value: Any) -> int:
    if not re.fullmatch(r"0*[1-9]\d{0,5}", str(value)):
        raise InputError(f"{name} must be a whole number, 1 or more, not {value}")
    return int(value)


def _terminated(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _threads_of_a_stage() -> int:
    """`train.threads` of params.yaml, which DVC has read before and found to be YAML."""
    path = Path("params.yaml")
    params = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    train = params.get("train") if isinstance(params, Mapping) else None
    threads = train.get("threads", 1) if isinstance(train, Mapping) else 1
    return _positive("params.yaml: train.threads", threads)


@contextlib.contextmanager
def _cluster(
    scheduler: str | None, jobs: int | None, threads: int
) -> Iterator[tuple["Client", int]]:
    """A client, and how many stages may run at once on what it is connected to.

    Raises:
        InputError: no scheduler answers at that address, or it has no workers.
    """
    import dask

    # Dask reports in log lines what `run` says in its own words.
    dask.config.set({"logging.distributed": "critical"})
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if scheduler is None:
        jobs = jobs or max(1, CPU_COUNT // threads)
        # The work is in child processes: threads to wait for them are enough.
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=jobs,
                processes=False,
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                memory_limit=0,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client, jobs
        return
    try:
        # First alone: a client that fails to connect stays half open until it is collected.
        asyncio.run(_reach(scheduler))
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({first_sentence(error)}): "
            "start one, or leave out --scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(
                f"the Dask scheduler at {scheduler} has no workers: "
                f"start some with `dask worker {scheduler}`"
            ) from None
        yield client, jobs or max(1, sum(client.nthreads().values()) // threads)


async def _reach(scheduler: str) -> None:
    """Raise OSError, ValueError or RuntimeError if nobody answers at this address."""
    from distributed.comm import connect

    comm = await connect(scheduler, timeout=PATIENCE)
    await comm.close()


def run(
    client: "Client", needs: Mapping[str, frozenset[str]], jobs: int, tmp: Path, show: Show
) -> dict[str, list[str]]:
    """Run each stage of `needs` once those that it needs are done, `jobs` at a time.

    Returns the last lines of each stage that failed; those that need it were not run.
    However this ends, no stage is left running.

    Args:
        client: of the cluster that runs them.
        needs: a stage to the stages that have to be done before it.
        jobs: how many may run at once.
        tmp: DVC's directory for temporary files.
        show: called with a stage, each line that it prints or that there is to say of
            it, and whether it is over.
    """
    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    topic = f"fashion-mnist-{uuid.uuid4().hex}"
    client.subscribe_topic(topic, lambda event: events.put(event[1]))
    passed_on = {name: os.environ.get(name) for name in PASSED_ON}
    waiting = sorted(needs, key=_urgency(needs))
    running: dict[str, Future] = {}
    alive: dict[str, str] = {}  # the worker that each started stage runs on
    since: dict[str, float] = {}
    done: set[str] = set()
    failed: dict[str, list[str]] = {}
    try:
        while True:
            ready = [stage for stage in waiting if needs[stage] <= done]
            for stage in ready[: jobs - len(running)]:
                waiting.remove(stage)
                future = client.submit(
                    _task,
                    stage,
                    [Path(dag.__file__).as_posix(), _lock_of(tmp, stage)],
                    str(Path.cwd()),
                    passed_on,
                    topic,
                    key=f"{stage}-{topic}",
                    pure=False,
                )
                running[stage] = future
                future.add_done_callback(
                    lambda _, stage=stage: events.put({"stage": stage, "kind": "done"})
                )
            if not running:
                return failed
            event = _next(events)
            stage = event["stage"]
            if event["kind"] == "line":
                show(stage, event["line"], False)
            elif event["kind"] == "started":
                if stage in alive:
                    show(stage, f"starts again: worker {alive[stage]} is lost", False)
                alive[stage] = event["worker"]
                since.setdefault(stage, monotonic())
            elif event["kind"] == "done":
                alive.pop(stage, None)
                code, tail = _result(running.pop(stage))
                if code:
                    failed[stage] = tail
                else:
                    done.add(stage)
                took = monotonic() - since.get(stage, monotonic())
                show(stage, f"{'failed' if code else 'done'} in {took:.1f} s", True)
    except BaseException:
        for stage in _end_all(client, running, alive, events):
            show(stage, "stopped; the next run starts it again", True)
        raise
    finally:
        client.unsubscribe_topic(topic)


def _urgency(needs: Mapping[str, frozenset[str]]) -> Callable[[str], int]:
    """Sorts the stage with the most stages in a row below it to the front."""
    below = dict.fromkeys(needs, 0)

    def lift(stage: str) -> None:
        for upper in needs[stage]:
            if below[upper] <= below[stage]:
                below[upper] = below[stage] + 1
                lift(upper)

    for stage in needs:
        lift(stage)
    return lambda stage: -below[stage]


def _lock_of(tmp: Path, stage: str) -> str:
    name = re.sub(r"[^\w.-]", lambda match: f"%{ord(match[0]):x}", stage)
    return str(tmp / f"parallel-{name}.lock")


def _next(events: "queue.SimpleQueue[dict[str, Any]]") -> dict[str, Any]:
    """The next event. On Windows only a wait that ends by itself lets Ctrl-C through."""
    while True:
        with contextlib.suppress(queue.Empty):
            return events.get(timeout=1)


def _result(future: "Future") -> tuple[int, list[str]]:
    """Exit code and last lines of a stage that is over; Dask's own words if it never ran."""
    try:
        return future.result()
    except Exception as error:  # whatever a worker or Dask itself raised
        return 1, [f"{type(error).__name__}: {first_sentence(error)}"]


def _end_all(
    client: "Client",
    running: Mapping[str, "Future"],
    alive: dict[str, str],
    events: "queue.SimpleQueue[dict[str, Any]]",
) -> Iterator[str]:
    """Have the workers end what they run; gives each stage as it says that it has ended."""
    client.cancel(list(running.values()), force=True)
    deadline = monotonic() + dag.GRACE + 1
    while alive and monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            event = events.get(timeout=0.1)
            if event["kind"] == "ended" and alive.pop(event["stage"], None):
                yield event["stage"]


def _task(
    stage: str,
    leash: list[str],
    workspace: str,
    environment: Mapping[str, str | None],
    topic: str,
) -> tuple[int, list[str]]:
    """Reproduce one stage; gives its exit code and its last lines.

    Runs on a worker, which need not know this project: only what `distributed` brings
    along is used here, and what is imported here.
    """
    import subprocess

    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def tell(kind: str, **more: str) -> None:
        worker.log_event(topic, {"stage": stage, "kind": kind, "worker": worker.address, **more})

    def wanted() -> bool:
        """Not if the client has gone or has cancelled this, nor if the worker is closing."""
        task = worker.state.tasks.get(key)
        return (
            task is not None
            and task.state == "executing"
            and worker.status.name not in ("closing", "closed", "failed")
        )

    variables = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
    # A stage's `python` is the one that runs this, with or without an activated environment.
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process: Any = subprocess.Popen(
        [sys.executable, "-P", *leash, stage],
        cwd=workspace,
        env={name: value for name, value in variables.items() if value is not None},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    tell("started")

    def watch() -> None:
        while process.poll() is None:
            if not wanted():
                process.stdin.close()
                return
            over.wait(0.2)

    over = threading.Event()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    tail: deque[str] = deque(maxlen=TAIL)
    for text in process.stdout:
        line = text.rstrip().rsplit("\r")[-1]  # of a progress bar, its last state
        if not CHATTER.match(line):
            tail.append(line)
            tell("line", line=line)
    code = process.wait()
    over.set()
    watcher.join()
    process.stdin.close()
    tell("ended")
    return code, list(tail)


@contextlib.contextmanager
def _screen(stages: Mapping[str, Any]) -> Iterator[Show]:
    """Shows lines behind their stage's name; on a terminal, epochs in one live line a stage."""
    width = max(map(len, stages))
    if not sys.stdout.isatty():
        yield lambda stage, line, _: print(f"{stage:{width}} | {line}", flush=True)
        return

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    since: dict[str, float] = {}
    latest: dict[str, str] = {}

    def live() -> Text:
        return Text(
            "\n".join(
                f"{stage:{width}} | {monotonic() - since[stage]:5.0f} s  {latest[stage]}"
                for stage in list(since)
            ),
            no_wrap=True,
            overflow="ellipsis",
        )

    def show(stage: str, line: str, over: bool) -> None:
        epoch = progress(line)
        if over:
            since.pop(stage, None)
        else:
            since.setdefault(stage, monotonic())
            latest[stage] = epoch or latest.get(stage, "running")
        if epoch is None:
            lines.refresh()
            screen.print(Text(f"{stage:{width}} | {line}"), soft_wrap=True)

    screen = Console()
    with Live(get_renderable=live, console=screen, transient=True) as lines:
        yield show


def progress(line: str) -> str | None:
    """What the live line says of an epoch that has ended; None if `line` tells of none."""
    epoch = EPOCH.search(line)
    if epoch is None:
        return None
    said = [f"epoch {epoch[1]}/{epoch[2]}"]
    if accuracy := ACCURACY.search(line):
        said.append(f"validation accuracy {accuracy[1]}")
    if seconds := SECONDS.search(line):
        left = round(float(seconds[1]) * (int(epoch[2]) - int(epoch[1])))
        said.append(f"{left // 60}:{left % 60:02} left")
    return "  ".join(said)


def _report(needs: Mapping[str, frozenset[str]], failed: dict[str, list[str]], took: float) -> int:
    """Say how it went; returns the exit code."""
    lost = set(failed)
    while more := {stage for stage in needs if needs[stage] & lost} - lost:
        lost |= more
    ran = len(needs) - len(lost)
    for stage, tail in failed.items():
        console.say("\n".join([f"\nfailed: {stage}; its last lines:", *tail]))
        if any(map(KILLED.search, tail)):
            console.say(
                "the operating system ended it, probably for want of memory: "
                "lower --jobs or the batch size and run it again"
            )
    if lost - failed.keys():
        console.say(f"\nnot run: {', '.join(s for s in needs if s in lost and s not in failed)}")
    console.say(f"{ran} of {len(needs)} stages done in {took:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    console.run(main)
