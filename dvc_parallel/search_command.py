"""One search, from its arguments to its tables."""

import argparse
import importlib.util
import math
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc_parallel import command, findings, objective, space
from dvc_parallel.copies import composed_file
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.experiments import open_laboratory
from dvc_parallel.laboratory import run
from dvc_parallel.plan import Options
from dvc_parallel.search import Search, Terms

if TYPE_CHECKING:
    from dvc.repo import Repo

    from dvc_parallel.study import Study

NAME = "search"  # of a search that is not given one


def run_search(
    given: argparse.Namespace, options: Options, jobs: int | None, scheduler: str | None
) -> int:
    """Run a search, or what is left of it, and print what it has found.

    Args:
        given: the arguments of the command.
        options: what each experiment has to run.
        jobs: the cores that may be used; all if None.
        scheduler: the address of a Dask scheduler.

    Returns:
        the exit code: 0 if a trial has succeeded.

    Raises:
        InputError: the arguments do not make a search, or its first trials have all failed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InputError("a search needs Optuna: pip install 'dvc-parallel[search]'")
    terms = _terms(given)
    seed = None if given.seed is None else _whole("--seed", given.seed)
    with open_laboratory() as workspace:
        repo = workspace.repo
        terms = terms._replace(composed=composed_file(repo))
        _check(repo, terms, options)
        study = _open_study(repo, workspace.state, terms, options, seed)
        search = Search(
            terms, study, study.notes["seed"], lambda name: name in _saved(repo), command.say
        )
        try:
            run(search, workspace, options, jobs, scheduler)
            if search.goes_on:
                run(search, workspace, options, jobs, scheduler)
        except (KeyboardInterrupt, SystemExit):
            command.say(f"\n{findings.findings(terms, study)}\n\nthe same command goes on")
            raise
        command.say(f"\n{findings.findings(terms, study)}")
    return 0 if any(trial.values for trial in study.trials()) else 1


def _terms(given: argparse.Namespace) -> Terms:
    option = "--minimize" if given.minimize is not None else "--maximize"
    goal = given.minimize if given.minimize is not None else given.maximize
    terms = Terms(
        name=NAME if given.name is None else given.name,
        space=space.read_space(given.set_param),
        objective=objective.read_objective(option, goal, option == "--maximize"),
        minutes=None if given.minutes is None else _positive("--minutes", given.minutes),
        trials=None if given.trials is None else command.positive("--trials", given.trials),
        grace=None if given.grace is None else _number("--grace", given.grace),
        rungs=() if given.rungs is None else space.read_values("--rungs", given.rungs),
        confirm=() if given.confirm is None else space.read_values("--confirm", given.confirm),
    )
    if not terms.space.dimensions:
        raise InputError(f"{option} needs values to choose from, as in -S 'lr=interval(0.1, 1)'")
    if terms.grace is not None and terms.minutes is None:
        raise InputError("--grace needs --minutes: it begins when they are over")
    if terms.minutes is None and terms.trials is None and math.isinf(terms.space.size):
        raise InputError("a search needs an end: give --minutes, --trials or both")
    taken = {change.label: "-S" for change in terms.space.examples()[0]}
    for option, changes in (("--rungs", terms.rungs), ("--confirm", terms.confirm)):
        for label in {change.label for change in changes}:
            if label in taken:
                raise InputError(f"{option}: {label} has a value from {taken[label]} already")
            taken[label] = option
    return terms


def _check(repo: "Repo", terms: Terms, options: Options) -> None:
    """Raise InputError if an experiment could not be made, or its result not be read."""
    from dvc.repo.experiments.refs import ExpRefInfo
    from dvc.repo.experiments.utils import check_ref_format

    with dvc_errors():
        check_ref_format(repo.scm, ExpRefInfo(baseline_sha=repo.scm.get_rev(), name=terms.name))
    # Where Hydra composes the parameters, a value may be wrong, not only a key.
    few = slice(None) if terms.composed else slice(1)
    for option, changes in (
        *(("-S", changes) for changes in terms.space.examples()[few]),
        *(("--rungs", [change]) for change in terms.rungs[few]),
        *(("--confirm", [change]) for change in terms.confirm[few]),
    ):
        space.check(repo, option, changes)
    option = "--maximize" if terms.objective.maximize else "--minimize"
    objective.check(repo, option, terms.objective, options)


def _open_study(
    repo: "Repo", state: Path, terms: Terms, options: Options, seed: int | None
) -> "Study":
    """The study that is to go on, or a new one."""
    from dvc_parallel.study import Study

    path = state / "searches" / f"{terms.name}.journal"
    path.parent.mkdir(exist_ok=True)
    if options.force:
        path.unlink(missing_ok=True)
    try:
        study = Study(path, terms.objective.maximize)
    except (ValueError, LookupError):
        raise InputError(
            f"{os.path.relpath(path)} is damaged: use another --name, or --force to begin again"
        ) from None
    about = _about(repo, terms, options)
    if "about" not in study.notes:
        name = re.compile(rf"{re.escape(terms.name)}-\d+(-.*)?")
        if not options.force and (taken := sorted(filter(name.fullmatch, _saved(repo)))):
            raise InputError(
                f"an experiment named {taken[0]} exists: use another --name, or --force"
            )
        study.note("seed", secrets.randbelow(2**31) if seed is None else seed)
        study.note("about", about)
    _refuse_other(terms.name, {**study.notes["about"], "--seed": study.notes["seed"]}, about, seed)
    done = len(study.trials())
    began = f"goes on after {terms.trial_name(done)}" if done else "begins"
    command.say(f"search {terms.name} {began}, with --seed {study.notes['seed']}")
    return study


def _about(repo: "Repo", terms: Terms, options: Options) -> dict[str, Any]:
    """What makes it another search if it changes."""
    changed = {
        label: str(distribution) for label, distribution in terms.space.distributions.items()
    }
    fixed = {change.label: change.text for change in terms.space.fixed}
    return {
        "the commit": str(repo.scm.get_rev()),
        "-S": changed | fixed,
        "--maximize" if terms.objective.maximize else "--minimize": str(terms.objective),
        "--rungs": [f"{change.label}={change.text}" for change in terms.rungs],
        "the targets": list(options.targets),
    }


def _refuse_other(
    name: str, before: Mapping[str, Any], about: Mapping[str, Any], seed: int | None
) -> None:
    now = {**about, "--seed": before["--seed"] if seed is None else seed}
    for what in dict.fromkeys((*now, *before)):
        if before.get(what) != now.get(what):
            raise InputError(
                f"{what} differs from what the search {name} began with: "
                "use another --name, or --force to begin again"
            )


def _saved(repo: "Repo") -> set[str]:
    """The names of the experiments that are saved for this commit."""
    from dvc.repo.experiments.utils import exp_refs_by_baseline

    base = repo.scm.get_rev()
    return {reference.name for reference in exp_refs_by_baseline(repo.scm, {base})[base]}


def _number(option: str, text: str) -> float:
    """A number of minutes."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not (0 <= number < math.inf):
        raise InputError(f"{option} must be a number of minutes, 0 or more, not {text}")
    return number


def _positive(option: str, text: str) -> float:
    if (number := _number(option, text)) == 0:
        raise InputError(f"{option} must be more than 0 minutes")
    return number


def _whole(option: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise InputError(f"{option} must be a whole number, 0 or more, not {text}")
    return int(text)
