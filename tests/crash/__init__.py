"""Kills the pipeline at points spread over its run, and runs it again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import uuid4

import psutil

from tests.conftest import Workspace

COMMANDS = {
    "serial": ("dvc", "repro"),
    "parallel": (sys.executable, "-m", "dvc_parallel"),
}
LONGEST = 240  # seconds
FEWEST = 0.8  # of the counted writes: a parallel run that waits less often for a lock makes fewer
LITTER = re.compile(r"\.[\w-]{22}\.tmp")  # of a DVC that was killed while it linked a file
Measure = Literal["time", "writes", "writes of dvc.lock"]
Victim = Literal["command", "writer", "all"]


class Run(NamedTuple):
    """A whole run: how long it took, how often it wrote, and what it left."""

    seconds: float
    writes: int
    files: dict[str, bytes]


class Point(NamedTuple):
    """Where a run is cut off, as a fraction of its time or of its writes."""

    mode: str
    at: float
    by: Measure
    victim: Victim
    after: int = 0  # microseconds after the write has begun

    def __str__(self) -> str:
        return f"{self.mode}, {self.at:.0%} of its {self.by}, {self.victim} killed"


class Outcome(NamedTuple):
    """What became of a run that was cut off."""

    struck: bool  # it was still running
    mended: bool  # only `make repro` could go on from there
    failure: str  # what that said, if it failed too
    differing: list[str]  # the files that came out otherwise, or not at all
    left: list[str]  # processes that still went on

    @property
    def survived(self) -> bool:
        return not (self.failure or self.differing or self.left)


def points(count: int) -> list[Point]:
    """So many points: both modes, times and writes, and all kinds of victims, spread evenly."""
    kinds: list[tuple[Measure, Victim, int]] = [
        ("writes", "writer", 0),
        ("writes", "all", 150),
        ("time", "command", 0),
        ("writes", "all", 0),
        ("time", "all", 0),
        ("writes of dvc.lock", "all", 2000),
    ]
    chosen = []
    for number in range(count):
        by, victim, after = kinds[number % len(kinds)]
        mode = ("serial", "parallel")[(number + number // len(kinds)) % 2]
        if by == "writes of dvc.lock":
            mode = "serial"  # the other one replaces the file in one step
        # The golden ratio spreads any number of points evenly, whatever their kind.
        chosen.append(Point(mode, (number + 0.5) * 0.6180339887 % 1, by, victim, after))
    return chosen


def whole(fresh: Workspace, folder: Path, mode: str) -> Run:
    """A run that is not cut off, in a copy of `fresh`."""
    workspace = fresh.copy(folder)
    count = folder.with_suffix(".count")
    started = time.monotonic()
    done = run_out(workspace, mode, count)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(time.monotonic() - started, count.stat().st_size, workspace.files())


def run_out(workspace: Workspace, mode: str, count: Path) -> subprocess.CompletedProcess[str]:
    """Run the pipeline to its end, and count its writes."""
    return subprocess.run(
        COMMANDS[mode],
        cwd=workspace.path,
        env=environment(workspace, count),
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )


def strike(fresh: Workspace, folder: Path, run: Run, point: Point) -> Outcome:
    """Cut off a run in a copy of `fresh`, run it again, and compare what it leaves with `run`."""
    workspace = fresh.copy(folder)
    count = folder.with_suffix(".count")
    crash = environment(workspace, count)
    if point.by != "time":
        writes = run.writes if point.mode == "serial" else round(run.writes * FEWEST)
        if point.by == "writes of dvc.lock":  # one a stage
            crash["CRASH_FILE"] = "dvc.lock"
            writes = run.files["dvc.lock"].count(b"    cmd: ")
        crash |= {
            "CRASH_AT": str(round(point.at * (writes - 1)) + 1),
            "CRASH_AFTER": str(point.after),
        }
    first = subprocess.Popen(
        COMMANDS[point.mode],
        cwd=workspace.path,
        env=crash,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ended_by_itself = wait(first, run.seconds * point.at, crash, count)
    if point.victim == "command":
        first.kill()
    elif point.victim == "all":
        kill_all(crash["CRASH_RUN"])
    struck = first.wait(LONGEST) != 0 or not ended_by_itself

    # DVC cannot go on from a dvc.lock that it has left half written; dvc_parallel/dvclock.py can.
    for mode in dict.fromkeys((point.mode, "parallel")):
        again = run_out(workspace, mode, count)
        if again.returncode == 0:
            break
    failure = again.stdout[-2000:] + again.stderr[-2000:] if again.returncode else ""
    files = workspace.files()
    differing = sorted(
        path
        for path in files.keys() | run.files.keys()
        if files.get(path) != run.files.get(path) and not LITTER.fullmatch(Path(path).name)
    )
    left = [process.name() for process in of_run(crash["CRASH_RUN"])]
    return Outcome(struck, mode != point.mode, failure, differing, left)


def wait(process: subprocess.Popen, seconds: float, crash: dict[str, str], count: Path) -> bool:
    """Until the moment to strike, or until it has ended, which is what is returned."""
    at = int(crash.get("CRASH_AT", 0))
    deadline = time.monotonic() + (LONGEST if at else seconds)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return True
        if at and count.exists() and count.stat().st_size >= at:
            return False
        time.sleep(0.001)
    return False


def environment(workspace: Workspace, count: Path) -> dict[str, str]:
    """In which the writes of a run are counted, and its processes known as its own."""
    count.unlink(missing_ok=True)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(__file__).parent),
        "CI": "true",
        "CRASH_WORKSPACE": str(workspace.path.resolve()),
        "CRASH_COUNT": str(count.resolve()),
        "CRASH_RUN": uuid4().hex,
    }


def of_run(name: str) -> Iterator[psutil.Process]:
    """The processes, ended ones aside, that a run has started, itself included."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("CRASH_RUN") == name:
                yield process
        except psutil.Error:
            continue


def kill_all(name: str) -> None:
    """Kill every process of a run, also those that are just being started."""
    while processes := list(of_run(name)):
        for process in processes:
            with_signal(process, signal.SIGKILL)


def with_signal(process: psutil.Process, number: int) -> None:
    """Send a signal to a process that may have ended."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
