"""A search: proposes experiments, learns from how they end, and knows when it is over."""

import re
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from dvc_parallel.errors import InputError
from dvc_parallel.objective import Objective
from dvc_parallel.source import Ended, Experiment
from dvc_parallel.space import Change, Space, by_file

if TYPE_CHECKING:
    from dvc_parallel.study import Study, Trial

THIRD = 3  # one of so many trials goes on to the next rung
CONFIRMED = 3  # so many of the best run again
STOPPED = "stopped"  # the error of what ran when the deadline came
HOPELESS = 3  # the search ends if so many trials fail before one succeeds


class Terms(NamedTuple):
    """What a search is told.

    Attributes:
        name: its name; its experiments have a number behind it.
        space: what it may change.
        objective: what it makes small or large.
        minutes: no run starts after so many; None for no limit.
        trials: how many choices of values it tries; None for no limit.
        grace: how many minutes later the runs that still last are stopped; None for never.
        rungs: the values of one parameter, the first for every trial, or none.
        confirm: the values of one parameter with which the best run again, or none.
        composed: the file of parameters that Hydra composes for each experiment, if it does.
    """

    name: str
    space: Space
    objective: Objective
    minutes: float | None = None
    trials: int | None = None
    grace: float | None = None
    rungs: tuple[Change, ...] = ()
    confirm: tuple[Change, ...] = ()
    composed: str | None = None

    @property
    def top(self) -> int:
        """The last rung; the first is 0."""
        return max(0, len(self.rungs) - 1)

    def trial_name(self, number: int) -> str:
        """What messages call a trial: the name of its first experiment."""
        return f"{self.name}-{number}"

    def experiment(self, trial: "Trial", rung: int, confirmed: Change | None = None) -> Experiment:
        """The experiment of a trial on a rung, or with a value that confirms it."""
        name = self.trial_name(trial.number)
        changes = list(self.space.changes(trial.chosen))
        if self.rungs:
            changes.append(self.rungs[rung])
        if confirmed is not None:
            changes.append(confirmed)
            name += _suffix(confirmed, self.confirm)
        elif rung > 0:
            name += _suffix(self.rungs[rung], self.rungs)
        overrides = by_file(changes)
        if self.composed:
            overrides.setdefault(self.composed, [])
        return Experiment(name, overrides)


def ranked(trials: Sequence["Trial"], objective: Objective) -> list["Trial"]:
    """The trials that have succeeded so far, the best on the highest rung first."""
    return sorted(
        (trial for trial in trials if trial.values and not trial.failure),
        key=lambda trial: (-len(trial.values), objective.rank(trial.values[-1]), trial.number),
    )


def promoted(
    trials: Sequence["Trial"], objective: Objective, top: int, last: bool
) -> tuple["Trial", int] | None:
    """A trial that goes on, and the rung to which it goes; None if none may now.

    It is among the best third of those that have finished its rung. If these are the `last`,
    the best goes on in any case, so that the highest rung is reached.
    """
    for rung in reversed(range(top)):
        here = [trial for trial in trials if len(trial.values) > rung and not trial.failure]
        here.sort(key=lambda trial: (objective.rank(trial.values[rung]), trial.number))
        places = max(len(here) // THIRD, int(last))
        for trial in here[:places]:
            if trial.rung == rung:
                return trial, rung + 1
    return None


def to_confirm(trials: Sequence["Trial"], objective: Objective) -> "tuple[list[Trial], int]":
    """The trials that run again, and on which rung: on that of the best one."""
    best = ranked(trials, objective)[:CONFIRMED]
    return best, len(best[0].values) - 1 if best else 0


def confirmation(number: int, rung: int, change: Change) -> str:
    """What a study calls a run that confirms a trial."""
    return f"{number} on {rung} with {change.label}={change.text}"


class _Run(NamedTuple):
    """An experiment that runs."""

    number: int
    rung: int
    since: float
    confirmed: Change | None


class Search:
    """A source of experiments.

    Args:
        terms: what the search is told.
        study: its memory.
        seed: of what is proposed.
        saved: whether there is an experiment of this name.
        say: prints a line.
    """

    ahead = False  # what is proposed depends on all that is known
    total = None

    def __init__(
        self,
        terms: Terms,
        study: "Study",
        seed: int,
        saved: Callable[[str], bool],
        say: Callable[[str], None],
    ) -> None:
        changes = [*terms.space.examples()[0], *terms.rungs, *terms.confirm]
        self.files = set(by_file(changes)) | ({terms.composed} if terms.composed else set())
        self._terms = terms
        self._study = study
        self._seed = seed
        self._saved = saved
        self._say = say
        self._running: dict[str, _Run] = {}
        self._started = monotonic()
        self._spent_before = float(study.notes.get("spent", 0))
        self._failures = 0
        self._exhausted = False
        self._searching = True
        self._left_over = [trial for trial in study.trials() if trial.running]
        self._unconfirmed: list[tuple[Trial, int, Change]] = []

    @property
    def deadline(self) -> float | None:
        """The `time.monotonic()` at which what still runs is stopped."""
        if self._end is None or self._terms.grace is None or not self._searching:
            return None
        return self._end + 60 * self._terms.grace

    @property
    def goes_on(self) -> bool:
        """Whether the best are to run again, although the search was stopped."""
        return bool(self._unconfirmed)

    @property
    def _end(self) -> float | None:
        if self._terms.minutes is None:
            return None
        return self._started - self._spent_before + 60 * self._terms.minutes

    @property
    def _spent(self) -> float:
        return self._spent_before + monotonic() - self._started

    def next(self) -> Experiment | None:
        """The next experiment of the search, and then of its confirmation."""
        if self._searching:
            if found := self._search():
                trial, rung = found
                return self._start(trial, rung, None)
            if self._running:
                return None
            self._conclude()
        if self._unconfirmed:
            return self._start(*self._unconfirmed.pop(0))
        return None

    def _search(self) -> "tuple[Trial, int] | None":
        """A trial and its rung: one left over, one that goes on, or a new one."""
        terms = self._terms
        for trial in self._left_over:
            name = terms.experiment(trial, trial.rung).name
            if self._saved(name) or self._worth_it(trial.rung):
                self._left_over.remove(trial)
                return trial, trial.rung
        trials = self._study.trials()
        found = promoted(trials, terms.objective, terms.top, False)
        if found and self._worth_it(found[1]):
            return found
        if not self._exhausted and (terms.trials is None or len(trials) < terms.trials):
            if not self._worth_it(0):
                return None
            if new := self._new():
                return new, 0
        if not self._running:
            found = promoted(trials, terms.objective, terms.top, True)
            if found and self._worth_it(found[1]):
                return found
        return None

    def _new(self) -> "Trial | None":
        """A new trial; None if every choice has been tried."""
        space = self._terms.space
        chosen = self._study.propose(space.distributions, space.size, self._seed)
        if chosen is None:
            self._exhausted = True
            self._say("every choice of values has been tried")
            return None
        number = self._study.add(chosen, space.distributions)
        return self._study.trials()[number - 1]

    def _worth_it(self, rung: int) -> bool:
        """Whether a run on this rung may start now, and is not expected to be stopped."""
        now = monotonic()
        if self._end is None or now < self._end:
            return self.deadline is None or now + self._expected(rung) <= self.deadline
        return False

    def _expected(self, rung: int) -> float:
        """How long a run on this rung took on average; 0 if none has ended."""
        known = [
            seconds
            for trial in self._study.trials()
            for of_rung, seconds in trial.runs
            if of_rung == rung and not trial.failure
        ]
        return sum(known) / len(known) if known else 0.0

    def _conclude(self) -> None:
        """The search is over; what is left is to confirm the best."""
        self._searching = False
        self._study.note("spent", self._spent)
        self._unconfirmed = self._to_confirm()
        if self._unconfirmed:
            values = ", ".join(f"{change.label}={change.text}" for change in self._terms.confirm)
            self._say(f"the search is over; the best run again with {values}")

    def _to_confirm(self) -> "list[tuple[Trial, int, Change]]":
        """The runs that confirm the best and have not succeeded before."""
        trials, rung = to_confirm(self._study.trials(), self._terms.objective)
        done = self._study.notes.get("confirmed", {})
        return [
            (trial, rung, change)
            for trial in trials
            for change in self._terms.confirm
            if "value" not in done.get(confirmation(trial.number, rung, change), {})
        ]

    def _start(self, trial: "Trial", rung: int, confirmed: Change | None) -> Experiment:
        experiment = self._terms.experiment(trial, rung, confirmed)
        if confirmed is None and trial.rung != rung:
            self._study.climb(trial.number, rung)
        self._running[experiment.name] = _Run(trial.number, rung, monotonic(), confirmed)
        return experiment

    def finished(self, experiment: Experiment, ended: Ended) -> None:
        """Learn from an experiment.

        Raises:
            InputError: nothing but failures so far.
        """
        run = self._running.pop(experiment.name)
        took = monotonic() - run.since
        if ended.error == STOPPED:
            self._say(f"{experiment.name} is stopped: it lasts longer than --grace")
            if self._searching and not self._running:
                self._conclude()
            return
        value, failure = 0.0, ended.error
        if ended.revision is not None:
            try:
                value, failure = self._terms.objective.value(ended.read), ""
            except ValueError as error:
                failure = str(error)
        if run.confirmed is not None:
            self._confirmed(experiment.name, run, run.confirmed, took, value, failure)
            return
        self._study.note("spent", self._spent)
        self._study.ran(run.number, run.rung, took)
        if failure:
            self._failed(experiment.name, run, failure)
        else:
            self._succeeded(experiment.name, run, value)

    def _succeeded(self, name: str, run: _Run, value: float) -> None:
        self._study.report(run.number, run.rung, value, run.rung == self._terms.top)
        best = ranked(self._study.trials(), self._terms.objective)[0].number == run.number
        mark = ", the best so far" if best else ""
        self._say(f"{name}: {self._terms.objective.key} is {value:.6g}{mark}")

    def _failed(self, name: str, run: _Run, failure: str) -> None:
        self._study.fail(run.number, failure)
        self._say(f"{name} failed: {failure}")
        self._failures += 1
        if self._failures >= HOPELESS and not any(trial.values for trial in self._study.trials()):
            raise InputError(
                f"the first {self._failures} trials failed, {name} because of this: {failure}"
            )

    def _confirmed(
        self, name: str, run: _Run, change: Change, took: float, value: float, failure: str
    ) -> None:
        done = self._study.notes.get("confirmed", {})
        result = {"failure": failure} if failure else {"value": value}
        key = confirmation(run.number, run.rung, change)
        self._study.note("confirmed", {**done, key: {**result, "seconds": round(took, 2)}})
        key = self._terms.objective.key
        self._say(f"{name} failed: {failure}" if failure else f"{name}: {key} is {value:.6g}")


def _suffix(change: Change, among: tuple[Change, ...]) -> str:
    """What tells an experiment with this change from those with the others."""
    key = re.sub(r"\W+", "-", change.key.rpartition(".")[2]).strip("-")
    plain = all(re.fullmatch(r"\w+([.-]\w+)*", other.text) for other in among)
    return f"-{key}-{change.text if plain else among.index(change) + 1}"
