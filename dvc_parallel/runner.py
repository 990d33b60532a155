"""Runs a plan: starts each stage as soon as it may, and takes in what becomes of it."""

from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from dvc_parallel import schedule
from dvc_parallel.plan import Plan
from dvc_parallel.schedule import Task
from dvc_parallel.worker import Job, Outcome

if TYPE_CHECKING:
    from dvc_parallel.cluster import ClusterCrew
    from dvc_parallel.local import LocalCrew
    from dvc_parallel.screen import Log, Terminal

IDLE = 0.5  # seconds without a message after which what is recorded is written
TAIL = 20  # lines of a failed stage that are shown again


class Result(NamedTuple):
    """How a run ended.

    Attributes:
        failed: the last lines of each stage that failed.
        skipped: the stages that were not run because they need one of those.
    """

    failed: dict[str, list[str]]
    skipped: list[str]


def run(
    plan: Plan,
    tasks: Mapping[str, Task],
    jobs: int,
    crew: "LocalCrew | ClusterCrew",
    screen: "Log | Terminal",
    options: Mapping[str, Any],
    record: Callable[[str, Outcome, float], None],
    save: Callable[[bool], None],
) -> Result:
    """Run all steps of the plan that can be run; the rest needs one that failed.

    Args:
        plan: the steps.
        tasks: the same with their threads and expected durations.
        jobs: how many cores may be used.
        crew: what runs them.
        screen: where the user watches.
        options: those of DVC's `Stage.reproduce`.
        record: called with each finished step, its outcome and how long it took.
        save: called when recorded outcomes may not be written yet; its argument says whether
            the run is idle.
    """
    patient = schedule.should_be_patient(tasks, jobs)
    waiting = schedule.by_urgency(tasks)
    running: dict[str, float] = {}  # a step to the time of its start
    tails: dict[str, deque[str]] = {}
    done: set[str] = set()
    result = Result({}, [])
    while True:
        for name in list(schedule.startable(waiting, tasks, done, running, jobs, patient)):
            waiting.remove(name)
            running[name] = monotonic()
            tails[name] = deque(maxlen=TAIL)
            step = plan.steps[name]
            upstream = step.upstream if options.get("allow_missing") else ()
            screen.started(name)
            crew.start(name, Job(step.stage, upstream, dict(options)))
        if not running:
            break
        save(False)
        if (event := crew.next(IDLE)) is None:
            save(True)
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
            if outcome.error:
                result.failed[name] = [*tails[name], f"ERROR: {outcome.error}"]
            else:
                done.add(name)
            screen.ended(name, f"{'failed' if outcome.error else 'done'} in {took:.1f} s")
            record(name, outcome, took)

            def left() -> float:
                rest = {name: tasks[name] for name in (*running, *waiting)}
                elapsed = {name: monotonic() - since for name, since in running.items()}
                return schedule.length(schedule.simulate(rest, jobs, patient, elapsed))

            screen.left(left)
    result.skipped.extend(name for name in tasks if name in waiting)
    return result
