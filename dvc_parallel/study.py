"""A search's memory: a journal of Optuna's, and what Optuna proposes from it."""

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)

TRIES = 10  # of Optuna's sampler, to propose what was not tried before


class Trial(NamedTuple):
    """A choice of values, and what became of it.

    Attributes:
        number: 1 for the first.
        chosen: the value of each parameter.
        values: the objective on each rung that it has finished.
        rung: the rung on which it runs or was the last to run.
        failure: why it failed, or an empty text.
        runs: the rung of each of its runs, and how many seconds that took.
    """

    number: int
    chosen: dict[str, Any]
    values: list[float]
    rung: int
    failure: str
    runs: list[tuple[int, float]]

    @property
    def running(self) -> bool:
        """Whether it runs, or was running when the program ended."""
        return not self.failure and self.rung == len(self.values)


class _Alone(JournalFileOpenLock):
    """No lock: the workspace belongs to one run at a time."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Study:
    """The trials of a search, kept in a file.

    What `note` and the methods that change a trial write is on disk when they return.
    """

    def __init__(self, path: Path, maximize: bool) -> None:
        _cut_torn_line(path)
        self._storage = JournalStorage(JournalFileBackend(str(path), _Alone(str(path))))
        self._direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        try:
            self._study = self._storage.get_study_id_from_name("search")
        except KeyError:
            self._study = self._storage.create_new_study([self._direction], "search")

    @property
    def notes(self) -> dict[str, Any]:
        """What is known of the search itself."""
        return dict(self._storage.get_study_user_attrs(self._study))

    def note(self, key: str, value: Any) -> None:
        """Remember something of the search itself."""
        self._storage.set_study_user_attr(self._study, key, value)

    def trials(self) -> list[Trial]:
        """All trials, the first one first."""
        return [_trial(frozen) for frozen in self._frozen()]

    def add(self, chosen: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> int:
        """A new trial, which starts on the first rung; returns its number."""
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(chosen),
            distributions=dict(space),
            user_attrs={"rung": 0},
        )
        created = self._storage.create_new_trial(self._study, template)
        return self._storage.get_trial_number_from_id(created) + 1

    def climb(self, number: int, rung: int) -> None:
        """The trial runs on this rung from now on."""
        self._storage.set_trial_user_attr(self._id(number), "rung", rung)

    def ran(self, number: int, rung: int, seconds: float) -> None:
        """A run of the trial took so long, whether it succeeded or not."""
        trial = self._id(number)
        before = self._storage.get_trial(trial).user_attrs.get("runs", [])
        self._storage.set_trial_user_attr(trial, "runs", [*before, [rung, round(seconds, 2)]])

    def report(self, number: int, rung: int, value: float, last: bool) -> None:
        """The trial has this value on a rung, which is perhaps the last one."""
        trial = self._id(number)
        if last:
            self._storage.set_trial_state_values(trial, TrialState.COMPLETE, [value])
        else:
            self._storage.set_trial_intermediate_value(trial, rung, value)

    def fail(self, number: int, reason: str) -> None:
        """The trial has failed."""
        self._storage.set_trial_user_attr(self._id(number), "failure", reason)
        self._storage.set_trial_state_values(self._id(number), TrialState.FAIL)

    def propose(
        self, space: Mapping[str, BaseDistribution], size: float, seed: int
    ) -> dict[str, Any] | None:
        """Values that were not tried before; None if all were.

        They follow from the seed, the trials' number and what is known of them now. Optuna's
        sampler keeps away from the running trials, which it takes for bad ones.

        Args:
            space: what may be chosen.
            size: how many choices differ.
            seed: a number of 0 or more.
        """
        frozen = self._frozen()
        tried = [trial.params for trial in frozen]
        if len({frozenset(params.items()) for params in tried}) >= size:
            return None
        seeds = np.random.SeedSequence([seed, len(frozen)])
        known = [self._as_seen_by_the_sampler(trial) for trial in frozen]
        attempt = 0
        while True:
            number = int(seeds.spawn(1)[0].generate_state(1)[0])
            chosen = self._sample(space, known if attempt < TRIES else [], number)
            if chosen not in tried:
                return chosen
            attempt += 1

    def _sample(
        self, space: Mapping[str, BaseDistribution], known: Sequence[FrozenTrial], seed: int
    ) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            study = optuna.create_study(sampler=sampler, direction=self._direction)
            study.add_trials(known)
            return study.ask(dict(space)).params

    def _as_seen_by_the_sampler(self, frozen: FrozenTrial) -> FrozenTrial:
        """A trial that waits for the next rung counts as pruned; one that failed as the worst."""
        state, values = frozen.state, frozen.intermediate_values
        if state == TrialState.FAIL:
            state, values = TrialState.PRUNED, {}
        elif state == TrialState.RUNNING and values:
            state = TrialState.PRUNED
        return create_trial(
            state=state,
            value=frozen.value,
            params=frozen.params,
            distributions=frozen.distributions,
            intermediate_values=values,
        )

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, number - 1)


def _trial(frozen: FrozenTrial) -> Trial:
    values = [value for _, value in sorted(frozen.intermediate_values.items())]
    if frozen.state == TrialState.COMPLETE:
        values.append(frozen.values[0])
    return Trial(
        frozen.number + 1,
        dict(frozen.params),
        values,
        frozen.user_attrs["rung"],
        frozen.user_attrs.get("failure", "") if frozen.state == TrialState.FAIL else "",
        [(rung, seconds) for rung, seconds in frozen.user_attrs.get("runs", ())],
    )


def _cut_torn_line(path: Path) -> None:
    """Cut off the line of which a kill has left the beginning: its trial runs again."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        os.fsync(file.fileno())
