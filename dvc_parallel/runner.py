"""Runs stages: starts each as soon as it may, and takes in what becomes of it."""

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from dvc_parallel import schedule
from dvc_parallel.schedule import Task
from dvc_parallel.worker import Job, Outcome

if TYPE_CHECKING:
    from dvc_parallel.cluster import ClusterCrew
    from dvc_parallel.local import LocalCrew
    from dvc_parallel.screen import Log, Terminal

IDLE = 0.5  # seconds without a message after which what is recorded is written
# Stages that started together often end together: so many seconds are waited for the second one
# before `more`, during which its core would stay idle.
TOGETHER = 0.05
TAIL = 20  # lines of a failed stage that are shown again


class Work(NamedTuple):
    """The stages to run; more may come while some run.

    Attributes:
        tasks: each stage's needs, threads and expected duration.
        jobs: how a worker has to run it.
        running: those that run, with the time of their start.
        done: those that have succeeded.
    """

    tasks: dict[str, Task]
    jobs: dict[str, Job]
    running: dict[str, float]
    done: set[str]


def no_more(idle: bool) -> bool:  # noqa: ARG001
    """All stages are known from the start."""
    return False


def run(
    work: Work,
    cores: int,
    crew: "LocalCrew | ClusterCrew",
    screen: "Log | Terminal",
    record: Callable[[str, Outcome, float, list[str]], None],
    save: Callable[[bool], None],
    more: Callable[[bool], bool] = no_more,
    deadline: Callable[[], float | None] = lambda: None,
    beyond: Callable[[], float] = lambda: 0.0,
) -> None:
    """Run all stages that can be run; the rest needs one that failed, or comes too late.

    Args:
        work: the stages.
        cores: how many may be used.
        crew: what runs them.
        screen: where the user watches.
        record: called with each finished stage, its outcome, how long it took and its last lines;
            may take away tasks that do not run.
        save: called when recorded outcomes may not be written yet; its argument says whether
            the run is idle.
        more: may change the tasks that do not run, and returns whether it did; its argument
            says whether a core is idle.
        deadline: when to stop in the middle, if at all.
        beyond: the core-seconds that stages will take which are not known yet.
    """
    tasks, running = work.tasks, work.running
    tails: dict[str, deque[str]] = {}
    waiting, patient = _sorted(work, cores)
    while True:
        waiting = [name for name in waiting if name in tasks]
        for name in list(schedule.startable(waiting, tasks, work.done, running, cores, patient)):
            waiting.remove(name)
            running[name] = monotonic()
            tails[name] = deque(maxlen=TAIL)
            screen.started(name)
            crew.start(name, work.jobs[name])
        save(False)
        idle = sum(tasks[name].threads for name in running) < cores
        event = crew.next(0 if idle else TOGETHER) if running else None
        if event is None or event[1].kind != "outcome":
            if more(idle):
                waiting, patient = _sorted(work, cores)
            elif event is None and not running:
                return
            elif event is None:
                end = deadline()
                left = IDLE if end is None else min(IDLE, end - monotonic())
                if left <= 0:
                    return
                if (event := crew.next(left)) is None:
                    save(True)
        if event is None:
            continue
        name, (kind, content) = event
        if kind == "growing":
            screen.growing(name, content)
        elif kind == "line":
            tails[name].append(content)
            screen.line(name, content)
        else:
            outcome: Outcome = content
            took = monotonic() - running.pop(name)
            tail = [*tails.pop(name), *([f"ERROR: {outcome.error}"] if outcome.error else [])]
            screen.ended(name, f"{'failed' if outcome.error else 'done'} in {took:.1f} s")
            if not outcome.error:
                work.done.add(name)
            record(name, outcome, took, tail)
            screen.left(partial(_left, work, cores, waiting, patient, beyond()))


def _left(work: Work, cores: int, waiting: list[str], patient: bool, beyond: float) -> float:
    """How many seconds the rest takes, as far as it is known."""
    tasks = {name: work.tasks[name] for name in (*work.running, *waiting) if name in work.tasks}
    elapsed = {name: monotonic() - since for name, since in work.running.items()}
    return schedule.length(schedule.simulate(tasks, cores, patient, elapsed)) + beyond / cores


def _sorted(work: Work, cores: int) -> tuple[list[str], bool]:
    """The stages that have not started, most urgent first, and whether to keep cores free."""
    begun = work.done | work.running.keys()
    names = [name for name in schedule.by_urgency(work.tasks) if name not in begun]
    return names, schedule.should_be_patient(work.tasks, cores)
