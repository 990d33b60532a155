"""Which stage starts when: pure functions of the plan, the durations and the cores."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from statistics import fmean
from typing import NamedTuple


class Task(NamedTuple):
    """What the schedule has to know about a stage."""

    needs: frozenset[str]
    threads: int
    seconds: float


class Span(NamedTuple):
    """When a task starts and ends, in seconds from now."""

    start: float
    end: float


def tasks_of(
    needs: Mapping[str, frozenset[str]],
    threads: Mapping[str, int],
    durations: Mapping[str, float],
) -> dict[str, Task]:
    """Tasks with the durations of earlier runs; an unknown duration counts as the average."""
    known = [durations[name] for name in needs if name in durations]
    average = fmean(known) if known else 1.0
    return {
        name: Task(above, threads[name], durations.get(name, average))
        for name, above in needs.items()
    }


def by_urgency(tasks: Mapping[str, Task]) -> list[str]:
    """The tasks' names; the one with the longest way to the pipeline's end comes first."""
    below: dict[str, list[str]] = {name: [] for name in tasks}
    for name, task in tasks.items():
        for above in task.needs & tasks.keys():
            below[above].append(name)
    way: dict[str, float] = {}
    stack = list(tasks)
    while stack:  # no recursion: a chain of stages may be longer than Python's stack
        name = stack[-1]
        if missing := [lower for lower in below[name] if lower not in way]:
            stack.extend(missing)
            continue
        way[name] = tasks[name].seconds + max((way[lower] for lower in below[name]), default=0)
        stack.pop()
    return sorted(tasks, key=lambda name: -way[name])


def startable(
    waiting: Iterable[str],
    tasks: Mapping[str, Task],
    done: Set[str],
    running: Collection[str],
    jobs: int,
    patient: bool,
) -> Iterator[str]:
    """Names of waiting tasks, most urgent first, that may start now beside the running ones.

    A task with more threads than there are cores runs alone. If an urgent task does not fit,
    the cores that are free go to less urgent ones, or stay free for it if `patient`.
    """
    free = jobs - sum(tasks[name].threads for name in running)
    idle = not running
    for name in waiting:
        if not tasks[name].needs <= done:
            continue
        if tasks[name].threads <= free or idle:
            free -= tasks[name].threads
            idle = False
            yield name
        elif patient:
            return


def simulate(
    tasks: Mapping[str, Task],
    jobs: int,
    patient: bool,
    elapsed: Mapping[str, float] | None = None,
) -> dict[str, Span]:
    """When each task starts and ends if each takes as long as expected.

    Args:
        tasks: those that are running or waiting; needs outside of them count as done.
        jobs: the cores.
        patient: as in `startable`.
        elapsed: the running tasks and how long they have been running.
    """
    elapsed = elapsed or {}
    done = {need for task in tasks.values() for need in task.needs} - tasks.keys()
    spans: dict[str, Span] = {}
    ends: list[tuple[float, str]] = []
    now = 0.0

    def start(name: str, left: float) -> None:
        spans[name] = Span(now, now + left)
        heapq.heappush(ends, (now + left, name))

    for name, seconds in elapsed.items():
        start(name, max(0.0, tasks[name].seconds - seconds))
    waiting = [name for name in by_urgency(tasks) if name not in elapsed]
    while waiting or ends:
        running = [name for _, name in ends]
        for name in list(startable(waiting, tasks, done, running, jobs, patient)):
            waiting.remove(name)
            start(name, tasks[name].seconds)
        if not ends:
            break
        now, name = heapq.heappop(ends)
        done.add(name)
    return spans


def length(spans: Mapping[str, Span]) -> float:
    """How long a whole schedule takes."""
    return max((span.end for span in spans.values()), default=0.0)


def should_be_patient(tasks: Mapping[str, Task], jobs: int) -> bool:
    """Whether the run ends sooner if cores stay free for an urgent stage with many threads."""
    if all(task.threads == 1 for task in tasks.values()):
        return False
    return length(simulate(tasks, jobs, True)) < length(simulate(tasks, jobs, False))


def width(spans: Mapping[str, Span]) -> int:
    """How many tasks run at once at most."""
    at_once = most = 0
    changes = [(span.start, 1) for span in spans.values()]
    for _, change in sorted([*changes, *((span.end, -1) for span in spans.values())]):
        at_once += change
        most = max(most, at_once)
    return most
