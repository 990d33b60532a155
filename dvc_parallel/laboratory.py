"""Runs the experiments of a source: all their stages are one schedule."""

import shutil
from collections import deque
from collections.abc import Callable
from contextlib import chdir, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

from dvc_parallel import command, dvclock, files, schedule
from dvc_parallel.copies import Copy, Snapshot, read_saved, snapshot, whatever_fails
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.plan import Options, Plan, make_plan
from dvc_parallel.runner import Work
from dvc_parallel.runner import run as run_stages
from dvc_parallel.screen import Log, Terminal, open_screen
from dvc_parallel.sharing import Sharing, signatures_of
from dvc_parallel.source import Ended, Experiment, Source
from dvc_parallel.worker import Outcome
from dvc_parallel.workspace import Workspace

# Experiments that are open at once, for each core: the more of them, the fewer cores are idle at
# the end, and the more copies of the data there are.
OPEN = 4


def run(
    source: Source,
    workspace: Workspace,
    options: Options,
    jobs: int | None,
    scheduler: str | None,
) -> int:
    """Run the experiments that a source gives; each is saved as soon as it is done.

    Args:
        source: gives the experiments.
        workspace: what they start from.
        options: what has to run in each.
        jobs: the cores that may be used by all of them; all if None.
        scheduler: the address of a Dask scheduler.

    Returns:
        the exit code.

    Raises:
        InputError: parameters cannot be changed as the source wants it.
    """
    started = monotonic()
    parent = workspace.state / "experiments"
    shutil.rmtree(parent, ignore_errors=True)  # of a run that was killed
    parent.mkdir()
    if options.pull:
        command.pull_run_cache(workspace.repo)
    memory = workspace.state / command.DURATIONS
    known = files.read_json(memory)
    try:
        with closing(Laboratory(source, workspace, options, known)) as laboratory:
            with command.open_crew(workspace, scheduler, jobs) as (crew, cores):
                crew.expect(1)
                with (
                    snapshot(workspace.repo, source.files, parent) as taken,
                    open_screen([], None) as screen,
                ):
                    laboratory.enter(taken, cores, crew.expect, screen)
                    run_stages(
                        laboratory.work,
                        cores,
                        crew,
                        screen,
                        laboratory.record,
                        lambda _: None,
                        laboratory.more,
                        lambda: source.deadline,
                        laboratory.beyond,
                    )
            laboratory.stop()
    except (KeyboardInterrupt, SystemExit):
        command.say("stopped: what is saved stays, and the rest goes on from DVC's run cache")
        raise
    finally:
        files.write_json(memory, known)
    return laboratory.report(monotonic() - started)


@dataclass
class Trial:
    """An experiment that is open.

    Attributes:
        experiment: what the source gave.
        copy: its folder.
        plan: what has to run there.
        records: writes its dvc.lock.
        left: the labels of the stages that have not ended.
        entries: what has run, as in dvc.lock.
        error: why it fails, or an empty text.
    """

    experiment: Experiment
    copy: Copy
    plan: Plan
    records: dvclock.Records
    left: set[str]
    entries: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Laboratory:
    """The experiments that are open, and how those ended that are not any more."""

    def __init__(
        self,
        source: Source,
        workspace: Workspace,
        options: Options,
        known: dict[str, float],
    ) -> None:
        """Begin without experiments.

        Args:
            source: gives them.
            workspace: what they start from.
            options: what has to run in each.
            known: how many seconds the stages take; is kept up to date.
        """
        self.work = Work({}, {}, {}, set())
        self._source = source
        self._repo = workspace.repo
        self._parent = workspace.state / "experiments"
        self._options = options
        self._known = known
        self._sharing = Sharing(self.work.tasks, self.work.jobs)
        self._open: list[Trial] = []
        self._complete: deque[Trial] = deque()  # those of which nothing is left to run
        self._left_out: set[str] = set()
        self._owners: dict[str, tuple[Trial, str]] = {}  # a label to its experiment and stage
        self._sizes: list[float] = []  # core-seconds of each experiment that was opened
        self._failed: list[str] = []
        self._saved = 0

    def enter(
        self,
        taken: Snapshot,
        cores: int,
        expect: Callable[[int], None],
        screen: Log | Terminal,
    ) -> None:
        """Begin.

        Args:
            taken: what DVC stashed.
            cores: how many may be used.
            expect: told how many stages may run at once.
            screen: where the user watches.
        """
        self._taken = taken
        self._cores = cores
        self._expect = expect
        self._screen = screen
        screen.experiments(0, self._source.total)

    def more(self, idle: bool) -> bool:
        """Open another experiment if there is room for it, or else save one that is complete.

        Both take a moment: so much the better if all cores are busy. A source that learns from the
        experiments is told of all that are complete before it gives another.

        Returns:
            whether tasks may have changed.
        """
        ahead = self._source.ahead
        room = self._cores * (OPEN if ahead else 1)
        asks = (idle and ahead) or (not self._complete and (idle or ahead))
        running = len(self._open) - len(self._complete)
        if asks and running < room and (experiment := self._source.next()):
            self._begin(experiment)
            return True
        if self._complete:
            self._finish(self._complete.popleft())
            return True
        return self._sharing.changed()

    def _begin(self, experiment: Experiment) -> None:
        """Open an experiment, unless an earlier run has saved it."""
        from dvc.repo import lock_repo

        changes = [change for of_file in experiment.overrides.values() for change in of_file]
        with whatever_fails():
            copy = Copy(self._repo, self._taken, experiment, self._parent)
        saved, error = None, ""
        try:
            # One lock, because DVC reads all files again after each.
            with whatever_fails(), dvc_errors(), chdir(copy.folder), lock_repo(copy.repo):
                saved = self._saved_before(copy, experiment.name)
                if saved is None:
                    trial, signatures = self._plan(experiment, copy)
        except InputError as failure:
            error = str(failure)
        if saved:
            command.say(f"experiment {experiment.name} was saved by an earlier run")
            self._end(experiment, saved, "", partial(read_saved, self._repo, saved))
            copy.close()
            return
        if error:
            command.warn(f"error: experiment {experiment.name}: {error}")
            self._end(experiment, None, error, _in(copy.folder))
            copy.close()
            return
        command.say(" ".join([f"experiment {experiment.name}:", *changes]))
        self._open.append(trial)
        self._sharing.add(signatures)
        self._expect(schedule.width(schedule.simulate(self.work.tasks, self._cores, False)))
        if not trial.left:
            self._complete.append(trial)

    def _plan(self, experiment: Experiment, copy: Copy) -> tuple[Trial, dict[str, str]]:
        """Find out what has to run in the current folder, and add it to the tasks.

        Returns:
            the experiment, and the signatures of its tasks.
        """
        copy.checkout(self._options.targets)
        plan = make_plan(copy.repo, self._options)
        tmp = Path(copy.repo.tmp_dir)
        for path in sorted(plan.damaged):
            command.say(dvclock.set_aside(path, tmp))
        records = dvclock.Records(copy.repo, tmp / "order.json", plan)
        jobs = command.jobs_of(plan, self._options, copy.variables)
        labels = {name: f"{experiment.name} {name}" for name in plan.steps}
        signatures = {labels[name]: same for name, same in signatures_of(copy.repo, plan).items()}
        trial = Trial(experiment, copy, plan, records, set(labels.values()))
        tasks = schedule.tasks_of(
            {name: step.needs for name, step in plan.steps.items()},
            {name: step.threads for name, step in plan.steps.items()},
            self._known,
        )
        self._sizes.append(sum(task.seconds * task.threads for task in tasks.values()))
        for name, label in labels.items():
            needs = frozenset(labels[above] for above in tasks[name].needs)
            self.work.tasks[label] = tasks[name]._replace(needs=needs)
            self.work.jobs[label] = jobs[name]
            self._owners[label] = trial, name
        return trial, signatures

    def _saved_before(self, copy: Copy, name: str) -> str | None:
        """The commit of this experiment if an earlier run has saved it.

        Raises:
            InputError: that is another experiment, or the name cannot be used.
        """
        from dvc.repo.experiments.refs import ExpRefInfo
        from dvc.repo.experiments.utils import check_ref_format

        reference = ExpRefInfo(self._taken.baseline, name)
        check_ref_format(self._repo.scm, reference)
        saved = self._repo.scm.get_ref(str(reference))
        if saved is None or self._options.force:
            return None
        if not copy.is_what_was_saved(saved):
            raise InputError(f"an experiment named {name} exists: use another name, or --force")
        return str(saved)

    def record(self, label: str, outcome: Outcome, took: float, tail: list[str]) -> None:
        """Take in what became of a stage."""
        trial, name = self._owners.pop(label)
        trial.left.remove(label)
        del self.work.tasks[label], self.work.jobs[label]
        self._sharing.ended(label, not outcome.error, outcome.entry)
        stage = trial.plan.steps[name].stage
        trial.records.add(stage, outcome, took)
        if outcome.entry is not None:
            trial.entries[str(stage.name)] = outcome.entry
        if outcome.seconds and not outcome.error:
            self._known[name] = outcome.seconds
        if outcome.error:
            command.say("\n".join([f"\nfailed: {label}; its last lines:", *tail, ""]))
            trial.error = f"{name}: {outcome.error}"
            self._give_up(trial)
        if not trial.left:
            self._complete.append(trial)

    def _give_up(self, trial: Trial) -> None:
        """Do not start what else an experiment would need."""
        for label in sorted(trial.left - self.work.running.keys()):
            trial.left.remove(label)
            del self.work.tasks[label], self.work.jobs[label], self._owners[label]
            self._sharing.ended(label, False)

    def _finish(self, trial: Trial) -> None:
        """Save an experiment of which nothing is left to run, and forget it."""
        name = trial.experiment.name
        revision = None
        try:
            if not trial.error:
                with whatever_fails():
                    trial.records.close()
                    revision = trial.copy.save(trial.plan.order, trial.entries, self._options.force)
        except InputError as error:
            trial.error = str(error)
        if revision:
            command.say(f"saved as experiment {name}: see `dvc exp show`")
            if left_out := [path for path in trial.copy.left_out if path not in self._left_out]:
                self._left_out.update(left_out)
                command.say(f"not in it, because git does not track them: {', '.join(left_out)}")
        else:
            command.say(f"experiment {name} is not saved ({trial.error})")
        self._end(trial.experiment, revision, trial.error, _in(trial.copy.folder))
        self._open.remove(trial)
        trial.copy.close()

    def _end(
        self,
        experiment: Experiment,
        revision: str | None,
        error: str,
        read: Callable[[str], bytes],
    ) -> None:
        """Count an experiment that has ended, and tell the source."""
        if revision is None:
            self._failed.append(experiment.name)
        else:
            self._saved += 1
        self._screen.experiments(self._saved + len(self._failed), self._source.total)
        self._source.finished(experiment, Ended(revision, error, read))

    def stop(self) -> None:
        """End the experiments that are still open; their stages do not run any more."""
        while self._complete:
            self._finish(self._complete.popleft())
        for trial in self._open:
            command.say(f"experiment {trial.experiment.name} was stopped")
            self._end(trial.experiment, None, "stopped", _in(trial.copy.folder))

    def report(self, seconds: float) -> int:
        """Print how many experiments were saved; returns the exit code."""
        total = self._saved + len(self._failed)
        command.say(f"{self._saved} of {total} experiments saved in {seconds:.1f} s")
        if self._failed:
            command.say(f"not saved: {', '.join(self._failed)}")
        return 1 if self._failed else 0

    def beyond(self) -> float:
        """The core-seconds of the experiments that are not open yet."""
        total = self._source.total
        if total is None or not self._sizes:
            return 0.0
        return (total - len(self._sizes)) * fmean(self._sizes)

    def close(self) -> None:
        """Remove the folders of the experiments that did not end."""
        for trial in self._open:
            trial.copy.close()


def _in(folder: Path) -> Callable[[str], bytes]:
    """Reads files of a folder."""
    return lambda path: (folder / path).read_bytes()
