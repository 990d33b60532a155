"""Experiments: a grid of parameters' values, and how experiments are called."""

import contextlib
import os
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dvc_parallel import command
from dvc_parallel.copies import composed_file
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.laboratory import run
from dvc_parallel.plan import Options
from dvc_parallel.source import Ended, Experiment, Overrides
from dvc_parallel.space import refuse_endless
from dvc_parallel.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

# Git sets these for its hooks: they would have DVC take the user's repository for the copy's.
LOCATION = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


def run_grid(
    options: Options,
    jobs: int | None,
    scheduler: str | None,
    params: Sequence[str],
    name: str | None,
) -> int:
    """Run an experiment for each combination of the parameters' values.

    Args:
        options: what has to run.
        jobs: the cores that may be used; all if None.
        scheduler: the address of a Dask scheduler.
        params: as in `dvc exp run --set-param`.
        name: the experiment's name; several get a number behind it, and None a random one.

    Returns:
        the exit code.

    Raises:
        InputError: the parameters or the name cannot be used, or there is no git repository.
    """
    refuse_endless(params)
    with open_laboratory() as workspace:
        return run(Grid(workspace.repo, params, name), workspace, options, jobs, scheduler)


@contextlib.contextmanager
def open_laboratory() -> Iterator[Workspace]:
    """Open the workspace for experiments.

    Raises:
        InputError: as `open_workspace`, or there is no git repository with a commit.
    """
    from dvc.scm import NoSCM

    for variable in LOCATION:
        os.environ.pop(variable, None)
    with open_workspace(command.warn) as workspace, dvc_errors():
        scm = workspace.repo.scm
        if isinstance(scm, NoSCM) or scm.no_commits:
            raise InputError("an experiment needs a git repository with a commit")
        _normalize_dates()
        yield workspace


def _normalize_dates() -> None:
    """Write the dates that git would take from the environment as all of DVC's backends read them.

    Raises:
        InputError: git itself cannot read them.
    """
    for who in ("AUTHOR", "COMMITTER"):
        if not os.environ.get(f"GIT_{who}_DATE"):
            continue
        done = subprocess.run(
            ["git", "var", f"GIT_{who}_IDENT"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = done.stderr.strip().removeprefix("fatal: ")
            raise InputError(f"GIT_{who}_DATE: {reason}")
        os.environ[f"GIT_{who}_DATE"] = done.stdout.rpartition("> ")[2].strip()


class Grid:
    """An experiment for each combination of the parameters' values."""

    ahead = True
    deadline: float | None = None

    def __init__(self, repo: "Repo", params: Sequence[str], name: str | None) -> None:
        """Find the combinations; the arguments are those of `run_grid`."""
        sweeps = _sweeps(by_file(repo, params))
        self.files = {path for sweep in sweeps for path in sweep}
        self.total = len(sweeps)
        self._left: deque[Experiment] = deque()
        names = _names(repo, name, len(sweeps))
        for own, overrides in zip(names, sweeps, strict=True):
            self._left.append(Experiment(own, overrides))

    def next(self) -> Experiment | None:
        """The next one; None if there are no more."""
        return self._left.popleft() if self._left else None

    def finished(self, experiment: Experiment, ended: Ended) -> None:
        """Nothing: the others do not depend on it."""


def by_file(repo: "Repo", params: Sequence[str]) -> dict[str, list[str]]:
    """The changes of each file of parameters, the one that Hydra composes included.

    Args:
        repo: the workspace's repository.
        params: as in `dvc exp run --set-param`.
    """
    from dvc.utils.cli_parse import to_path_overrides

    changes: dict[str, list[str]] = {}
    for path, of_path in to_path_overrides(params).items():
        # An absolute path would lead out of the experiment's copy.
        changes.setdefault(os.path.relpath(os.path.realpath(path)), []).extend(of_path)
    if composed := composed_file(repo):
        changes.setdefault(composed, [])
    return changes


def _sweeps(changes: Overrides) -> list[Overrides]:
    """The changes of each experiment: one for each combination of values."""
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import OverrideParseException

    try:
        return [dict(sweep) for sweep in get_hydra_sweeps(changes)] or [{}]
    except OverrideParseException as error:
        raise InputError(f"-S {error.override}: {_unreadable(error.override, error)}") from None


def _unreadable(change: str, error: Exception) -> str:
    """Why Hydra cannot read a change, or how it could be written instead."""
    from dvc.utils.hydra import to_hydra_overrides
    from hydra.errors import OverrideParseException

    key, equals, value = change.partition("=")
    quoted = "{}='{}'".format(key, value.replace("'", "\\'"))
    with contextlib.suppress(OverrideParseException):
        if equals and to_hydra_overrides([quoted]):
            return f"put quotes around {value}: {quoted}"
    return str(error).splitlines()[0]


def _names(repo: "Repo", name: str | None, count: int) -> list[str]:
    """So many names, each but a single one with a number; random ones if there is none."""
    from dvc.repo.experiments.utils import get_random_exp_name

    if name is not None:
        return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]
    names: set[str] = set()
    while len(names) < count:
        names.add(str(get_random_exp_name(repo.scm, repo.scm.get_rev())))
    return sorted(names)
