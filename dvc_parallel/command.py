"""One run: plan, workers, results, report."""

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from dvc_parallel import dvclock, files, schedule
from dvc_parallel.errors import InputError
from dvc_parallel.plan import Options, Plan, make_plan
from dvc_parallel.workspace import Workspace, open_workspace

__all__ = ["Options", "positive", "reproduce", "run_stages"]

# DVC's words on a command that was killed, aborted or crashed: a shell adds 128 to the signal.
KILLED = re.compile(r"exited with (-[679]|-11|13[457]|139)$")


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
    """Run what is out of date, or print it if `dry`; returns the exit code."""
    with open_workspace(warn) as workspace:
        return run_stages(workspace, options, jobs, scheduler, dry)


def run_stages(
    workspace: Workspace,
    options: Options,
    jobs: int | None = None,
    scheduler: str | None = None,
    dry: bool = False,
    durations: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run what is out of date in an open workspace; returns the exit code.

    Args:
        workspace: the workspace around the working directory.
        options: what has to run.
        jobs: the cores that may be used; all if None.
        scheduler: the address of a Dask scheduler.
        dry: whether to print the plan only.
        durations: the file that remembers how long the stages take.
        variables: environment variables that the stages see besides.
    """
    started = monotonic()
    repo = workspace.repo
    plan = make_plan(repo, options)
    if not plan.steps:
        say(f"nothing to do: {plan.total} of {plan.total} stages are up to date")
        return 0
    memory = durations or workspace.state / "durations.json"
    known = files.read_json(memory)
    tasks = schedule.tasks_of(
        {name: step.needs for name, step in plan.steps.items()},
        {name: step.threads for name, step in plan.steps.items()},
        known,
    )
    if dry:
        _print_plan(tasks, known, jobs or usable_cores())
        return 0
    for path in sorted(plan.damaged):
        say(dvclock.set_aside(path, workspace.state))
    if options.pull:
        _pull_run_cache(repo)

    from dvc_parallel.runner import run
    from dvc_parallel.screen import clock, open_screen
    from dvc_parallel.worker import Outcome

    locks = dvclock.LockFiles(repo, workspace.state / "lock-order.json", plan.locks)

    def record(name: str, outcome: Outcome, took: float) -> None:
        stage = plan.steps[name].stage
        repo.scm_context.track_file(outcome.changed)
        if outcome.entry is not None:
            path = Path(stage.path).with_suffix(".lock")
            repo.scm_context.track_file(os.path.relpath(path))
            locks.add(path, str(stage.name), outcome.entry, took)
        if outcome.seconds and not outcome.error:
            known[name] = outcome.seconds

    flags = {
        "force": options.force,
        "pull": options.pull,
        "allow_missing": options.allow_missing,
        "run_env": dict(variables or {}),
    }
    try:
        with _crew(workspace, scheduler, jobs, tasks, variables or {}) as (crew, jobs):
            spans = schedule.simulate(tasks, jobs, schedule.should_be_patient(tasks, jobs))
            expected = schedule.length(spans) if known.keys() & tasks.keys() else None
            about = f", about {clock(expected)}" if expected else ""
            say(f"to run: {len(plan.steps)} of {plan.total} stages on {_cores_of(jobs)}{about}")
            with open_screen(plan.steps, expected) as screen:
                result = run(plan, tasks, jobs, crew, screen, flags, record, locks.save)
    except (KeyboardInterrupt, SystemExit):
        say("stopped: the next run goes on from here")
        raise
    finally:
        locks.close()
        files.write_json(memory, known)
    if repo.scm_context.autostage:
        repo.scm_context.track_changed_files()
    code = _report(plan, result.failed, result.skipped, monotonic() - started)
    if code == 0 and (stale := make_plan(repo, options._replace(force=False)).edited):
        raise InputError(
            f"something was edited during the run, which makes {', '.join(stale)} stale: "
            "run it again"
        )
    return code


def usable_cores() -> int:
    """The cores that this process may use, as a container's limit or taskset leaves them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores or 1, math.ceil(int(quota) / int(period)))
    return cores or 1


@contextlib.contextmanager
def _crew(
    workspace: Workspace,
    scheduler: str | None,
    jobs: int | None,
    tasks: Mapping[str, schedule.Task],
    variables: Mapping[str, str],
) -> Iterator[tuple[Any, int]]:
    """What runs the stages, and its cores."""
    environment = {**os.environ, **variables}
    if scheduler:
        try:
            from dvc_parallel.cluster import open_cluster
        except ImportError:
            raise InputError(
                "--scheduler needs Dask: pip install 'dvc-parallel[cluster]'"
            ) from None
        with open_cluster(scheduler, environment) as (cluster, cores):
            yield cluster, jobs or cores
        return
    from dvc_parallel.local import LocalCrew

    jobs = jobs or usable_cores()
    count = schedule.width(schedule.simulate(tasks, jobs, patient=False))
    with contextlib.closing(LocalCrew(environment, workspace.run_lock, count)) as crew:
        yield crew, jobs


def _cores_of(jobs: int) -> str:
    return "1 core" if jobs == 1 else f"{jobs} cores"


def _print_plan(tasks: Mapping[str, schedule.Task], known: Mapping[str, float], jobs: int) -> None:
    from dvc_parallel.screen import clock

    spans = schedule.simulate(tasks, jobs, schedule.should_be_patient(tasks, jobs))
    expected = schedule.length(spans) if known.keys() & tasks.keys() else None
    say(f"{'start':>8} {'takes':>8} {'threads':>8}  stage")
    for name, span in sorted(spans.items(), key=lambda item: item[1].start):
        start = "?" if expected is None else clock(span.start)
        takes = clock(known[name]) if name in known else "?"
        say(f"{start:>8} {takes:>8} {tasks[name].threads:>8}  {name}")
    end = "how long they take is known after their first run"
    if expected is not None:
        end = f"about {clock(expected)}"
    say(f"{len(tasks)} stages on {_cores_of(jobs)}: {end}")


def _pull_run_cache(repo: Any) -> None:
    from dvc.stage.cache import RunCacheNotSupported

    try:
        repo.stage_cache.pull(None)
    except RunCacheNotSupported as error:
        warn(f"the run cache cannot be downloaded: {error}")


def _report(plan: Plan, failed: Mapping[str, list[str]], skipped: list[str], seconds: float) -> int:
    for name, tail in failed.items():
        say("\n".join([f"\nfailed: {name}; its last lines:", *tail]))
        if any(map(KILLED.search, tail)):
            say(
                "the operating system killed it, probably because memory ran out: "
                "lower --jobs or give it more threads in dvc.yaml, and run it again"
            )
    if skipped:
        say(f"\nnot run, because they depend on it: {', '.join(skipped)}")
    ran = len(plan.steps) - len(failed) - len(skipped)
    say(f"{ran} of {len(plan.steps)} stages done in {seconds:.1f} s")
    return 1 if failed else 0
