"""One run: plan, workers, results, report."""

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from dvc_parallel import dvclock, files, schedule
from dvc_parallel.errors import InputError
from dvc_parallel.plan import Options, Plan, edited_during, make_plan
from dvc_parallel.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from dvc_parallel.worker import Job

__all__ = ["Options", "positive", "reproduce"]

DURATIONS = "durations.json"  # in the workspace's state

# What a failed stage's last lines may tell, and the way out.
HINTS = {
    # DVC's words on a command that was killed, aborted or crashed: a shell adds 128 to the signal.
    re.compile(r"exited with (-[679]|-11|13[457]|139)$"): (
        "the operating system killed it, probably because memory ran out: "
        "lower --jobs or give it more threads in dvc.yaml, and run it again"
    ),
    re.compile(r"^EOFError\b"): (
        "it may have tried to read standard input, which stages get only if they run one after "
        "the other: use --jobs 1"
    ),
}


def positive(name: str, value: Any) -> int:
    """The value as a whole number, 1 or more."""
    if not re.fullmatch(r"0*[1-9]\d{0,5}", str(value)):
        raise InputError(f"{name} must be a whole number, 1 or more, not {value}")
    return int(value)


def say(text: str) -> None:
    """Print at once, so that a log shows it when it happens."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print on stderr, where it disturbs nobody who reads the output."""
    print(text, file=sys.stderr, flush=True)


def reproduce(options: Options, jobs: int | None, scheduler: str | None, dry: bool) -> int:
    """Run what is out of date, or print it if `dry`; returns the exit code.

    Args:
        options: what has to run.
        jobs: the cores that may be used; all if None.
        scheduler: the address of a Dask scheduler.
        dry: whether to print the plan only.
    """
    started = monotonic()
    with open_workspace(warn) as workspace:
        repo = workspace.repo
        plan = make_plan(repo, options)
        if not plan.steps:
            say(f"nothing to do: {plan.total} of {plan.total} stages are up to date")
            return 0
        memory = workspace.state / DURATIONS
        known = files.read_json(memory)
        if dry:
            _print_plan(_tasks_of(plan, known), known, jobs or usable_cores())
            return 0
        for path in sorted(plan.damaged):
            say(dvclock.set_aside(path, workspace.state))
        if options.pull:
            pull_run_cache(repo)
        try:
            failed, skipped = _run(workspace, plan, options, jobs, scheduler, known)
        except (KeyboardInterrupt, SystemExit):
            say("stopped: the next run goes on from here")
            raise
        finally:
            files.write_json(memory, known)
        if repo.scm_context.autostage:
            repo.scm_context.track_changed_files()
        code = _report(plan, failed, skipped, monotonic() - started)
        if code == 0 and (stale := edited_during(repo, plan, options)):
            raise InputError(
                f"something was edited during the run, which makes {', '.join(stale)} stale: "
                "run it again"
            )
        return code


def _tasks_of(plan: Plan, known: Mapping[str, float]) -> dict[str, schedule.Task]:
    needs = {name: step.needs for name, step in plan.steps.items()}
    threads = {name: step.threads for name, step in plan.steps.items()}
    return schedule.tasks_of(needs, threads, known)


def _run(
    workspace: Workspace,
    plan: Plan,
    options: Options,
    jobs: int | None,
    scheduler: str | None,
    known: dict[str, float],
) -> tuple[dict[str, list[str]], list[str]]:
    """Run a plan and update `known`, the seconds that stages take.

    Returns:
        the last lines of each stage that failed, and the stages that were not run because of it.
    """
    from dvc_parallel.runner import Work, run
    from dvc_parallel.screen import clock, open_screen
    from dvc_parallel.worker import Outcome

    tasks = _tasks_of(plan, known)
    work = Work(tasks, jobs_of(plan, options), {}, set())
    failed: dict[str, list[str]] = {}
    records = dvclock.Records(workspace.repo, workspace.state / "order.json", plan)

    def record(name: str, outcome: Outcome, took: float, tail: list[str]) -> None:
        if outcome.error:
            failed[name] = tail
        records.add(plan.steps[name].stage, outcome, took)
        if outcome.seconds and not outcome.error:
            known[name] = outcome.seconds

    try:
        with open_crew(workspace, scheduler, jobs, len(plan.steps) == 1) as (crew, cores):
            spans, expected = _expected(tasks, known, cores)
            about = "" if expected is None else f", about {clock(expected)}"
            say(f"to run: {len(plan.steps)} of {plan.total} stages on {_cores_of(cores)}{about}")
            crew.expect(schedule.width(spans))
            with open_screen(plan.steps, expected) as screen:
                run(work, cores, crew, screen, record, records.save)
    finally:
        records.close()
    return failed, [name for name in tasks if name not in work.done and name not in failed]


def _expected(
    tasks: Mapping[str, schedule.Task], known: Mapping[str, float], cores: int
) -> tuple[dict[str, schedule.Span], float | None]:
    """The expected schedule, and how long it takes; None if no stage has ever run."""
    spans = schedule.simulate(tasks, cores, schedule.should_be_patient(tasks, cores))
    return spans, schedule.length(spans) if known.keys() & tasks.keys() else None


def jobs_of(
    plan: Plan, options: Options, variables: Mapping[str, str] | None = None
) -> "dict[str, Job]":
    """How a worker has to run each step of a plan for the current folder.

    Args:
        plan: the plan.
        options: what has to run.
        variables: environment variables that the stages see besides.
    """
    from dvc_parallel.worker import Job

    flags = {
        "force": options.force,
        "pull": options.pull,
        "allow_missing": options.allow_missing,
        "run_env": dict(variables or {}),
    }
    return {
        name: Job(
            os.getcwd(),  # noqa: PTH109 - as the shell wrote it
            step.stage,
            step.upstream if options.allow_missing else (),
            flags,
        )
        for name, step in plan.steps.items()
    }


def usable_cores() -> int:
    """The cores that this process may use, as a container's limit or taskset leaves them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores or 1, math.ceil(int(quota) / int(period)))
    return cores or 1


@contextlib.contextmanager
def open_crew(
    workspace: Workspace, scheduler: str | None, jobs: int | None, alone: bool = False
) -> Iterator[tuple[Any, int]]:
    """What runs the stages, and its cores; `alone` tells that there is only one stage."""
    if scheduler:
        try:
            from dvc_parallel.cluster import open_cluster
        except ImportError:
            raise InputError(
                "--scheduler needs Dask: pip install 'dvc-parallel[cluster]'"
            ) from None
        with open_cluster(scheduler, os.environ) as (cluster, cores):
            yield cluster, jobs or cores
        return
    from dvc_parallel.local import LocalCrew
    from dvc_parallel.pausing import pausable

    cores = jobs or usable_cores()
    local = LocalCrew(os.environ, workspace.run_lock, one_at_a_time=alone or cores == 1)
    with contextlib.closing(local) as crew, pausable(crew.groups):
        yield crew, cores


def _cores_of(jobs: int) -> str:
    return "1 core" if jobs == 1 else f"{jobs} cores"


def _print_plan(tasks: Mapping[str, schedule.Task], known: Mapping[str, float], jobs: int) -> None:
    from dvc_parallel.screen import clock

    spans, expected = _expected(tasks, known, jobs)
    say(f"{'start':>8} {'takes':>8} {'threads':>8}  stage")
    for name, span in sorted(spans.items(), key=lambda item: item[1].start):
        start = "?" if expected is None else clock(span.start)
        takes = clock(known[name]) if name in known else "?"
        say(f"{start:>8} {takes:>8} {tasks[name].threads:>8}  {name}")
    end = "how long they take is known after their first run"
    if expected is not None:
        end = f"about {clock(expected)}"
    say(f"{len(tasks)} stages on {_cores_of(jobs)}: {end}")


def pull_run_cache(repo: Any) -> None:
    from dvc.stage.cache import RunCacheNotSupported

    try:
        repo.stage_cache.pull(None)
    except RunCacheNotSupported as error:
        warn(f"the run cache cannot be downloaded: {error}")


def _report(plan: Plan, failed: Mapping[str, list[str]], skipped: list[str], seconds: float) -> int:
    for name, tail in failed.items():
        say("\n".join([f"\nfailed: {name}; its last lines:", *tail]))
        for words, hint in HINTS.items():
            if any(map(words.search, tail)):
                say(hint)
    if skipped:
        say(f"\nnot run, because they depend on it: {', '.join(skipped)}")
    ran = len(plan.steps) - len(failed) - len(skipped)
    say(f"{ran} of {len(plan.steps)} stages done in {seconds:.1f} s")
    return 1 if failed else 0
