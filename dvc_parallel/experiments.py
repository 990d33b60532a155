"""Experiments: the pipeline with other parameters, beside the workspace.

Each runs in a clone of the repository under DVC's folder for temporary files, so that the
workspace stays as it is, and is fetched from there as a commit that `dvc exp` knows.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from dvc_parallel import command
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.plan import Options
from dvc_parallel.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

Overrides = Mapping[str, list[str]]  # a file to its changes, KEY=VALUE each


def run_experiments(
    options: Options, jobs: int | None, params: Sequence[str], name: str | None
) -> int:
    """Run an experiment for each combination of the parameters' values.

    Args:
        options: what has to run.
        jobs: the cores that may be used; all if None.
        params: as in `dvc exp run --set-param`.
        name: the experiment's name; several get a number behind it, and None a random one.

    Returns:
        the exit code.

    Raises:
        InputError: the parameters or the name cannot be used, or there is no git repository.
    """
    with open_workspace(command.warn) as workspace, dvc_errors():
        base = _base(workspace.repo)
        sweeps = _sweeps(params)
        code = 0
        for number, overrides in enumerate(sweeps, 1):
            own = name and (f"{name}-{number}" if len(sweeps) > 1 else name)
            own = _checked_name(workspace.repo, base, own, options.force)
            changes = [change for changes in overrides.values() for change in changes]
            command.say(" ".join([f"experiment {own}:", *changes]))
            code = max(code, _run(workspace, options, jobs, overrides, own, base))
        return code


def _base(repo: "Repo") -> str:
    """The commit that the experiments start from."""
    from dvc.scm import NoSCM

    if isinstance(repo.scm, NoSCM) or repo.scm.no_commits:
        raise InputError("an experiment needs a git repository with a commit")
    return str(repo.scm.get_rev())


def _sweeps(params: Sequence[str]) -> list[Overrides]:
    """The changes of each experiment: one for each combination of values."""
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import OverrideParseException

    by_file: dict[str, list[str]] = {}
    for path, changes in to_path_overrides(params).items():
        # An absolute path would lead out of the experiment's copy.
        by_file.setdefault(os.path.relpath(os.path.realpath(path)), []).extend(changes)
    try:
        return [dict(sweep) for sweep in get_hydra_sweeps(by_file)] or [{}]
    except OverrideParseException as error:
        raise InputError(f"-S: {str(error).splitlines()[0]}") from None


def _checked_name(repo: "Repo", base: str, name: str | None, force: bool) -> str:
    from dvc.repo.experiments.refs import ExpRefInfo
    from dvc.repo.experiments.utils import check_ref_format, get_random_exp_name

    if name is None:
        return str(get_random_exp_name(repo.scm, base))
    reference = ExpRefInfo(baseline_sha=base, name=name)
    check_ref_format(repo.scm, reference)
    if repo.scm.get_ref(str(reference)) and not force:
        raise InputError(f"an experiment named {name} exists: use another name, or --force")
    return name


def _run(
    workspace: Workspace,
    options: Options,
    jobs: int | None,
    overrides: Overrides,
    name: str,
    base: str,
) -> int:
    from dvc.env import DVC_EXP_BASELINE_REV, DVC_EXP_NAME, DVC_ROOT

    repo = workspace.repo
    variables = {DVC_EXP_BASELINE_REV: base, DVC_EXP_NAME: name, DVC_ROOT: str(repo.root_dir)}
    with _clone(repo, workspace.state) as folder, contextlib.chdir(folder):
        for path, changes in overrides.items():
            _override(path, changes)
        with open_workspace(command.warn) as inner:
            inner.repo.checkout(force=True, allow_missing=True)
            durations = workspace.state / "durations.json"
            code = command.run_stages(
                inner, options, jobs, durations=durations, variables=variables
            )
            if code:
                command.say(f"experiment {name} is not saved; what is done is in DVC's run cache")
                return code
            _save(repo, inner.repo, name, base, options.force)
    command.say(f"saved as experiment {name}: see `dvc exp show`")
    return 0


@contextlib.contextmanager
def _clone(repo: "Repo", state: Path) -> Iterator[Path]:
    """A copy of the workspace that shares git's objects and DVC's cache, and its current folder.

    It includes uncommitted changes and untracked files, but neither ignored ones nor other
    repositories.
    """
    top = Path(repo.scm.root_dir)
    shutil.rmtree(state / "experiments", ignore_errors=True)  # of a run that was killed
    (state / "experiments").mkdir()
    copy = Path(mkdtemp(dir=state / "experiments"))
    try:
        _git(top, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(copy))
        for key in ("user.name", "user.email"):
            if value := _git(top, "config", "--default", "", "--get", key):
                _git(copy, "config", key, value)
        _git(copy, "checkout", "--quiet", "--detach", _git(top, "rev-parse", "HEAD"))
        if changes := _git(top, *_IDENTITY, "stash", "create"):
            _git(copy, *_IDENTITY, "stash", "apply", "--quiet", changes)
        listed = _git_bytes(top, "ls-files", "-z", "--others", "--exclude-standard")
        for path in map(os.fsdecode, filter(None, listed.split(b"\0"))):
            if path.endswith("/"):  # another repository
                continue
            target = copy / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(top / path, target, follow_symlinks=False)
        _configure(repo, copy / Path(repo.dvc_dir).relative_to(top))
        yield copy / Path.cwd().relative_to(top)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


_IDENTITY = ("-c", "user.name=dvc-parallel", "-c", "user.email=dvc-parallel")


def _git(folder: Path, *arguments: str) -> str:
    return os.fsdecode(_git_bytes(folder, *arguments)).strip()


def _git_bytes(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        reason = os.fsdecode(done.stderr).strip().splitlines()
        raise InputError(f"git {arguments[0]}: {[f'exit code {done.returncode}', *reason][-1]}")
    return done.stdout


def _configure(repo: "Repo", dvc_dir: Path) -> None:
    """Give the clone the workspace's own settings, and its cache."""
    from dvc.config import Config
    from dvc.utils.collections import merge_dicts

    settings: dict[str, Any] = dict(repo.config.read("local"))
    merge_dicts(settings, {"cache": {"dir": os.path.abspath(repo.cache.local_cache_dir)}})  # noqa: PTH100
    with Config(str(dvc_dir), validate=False).edit("local") as local:
        merge_dicts(local, settings)


def _override(path: str, changes: list[str]) -> None:
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    if not Path(path).exists():
        raise InputError(f"-S: there is no file {path}")
    try:
        apply_overrides(path, changes)
    except InvalidArgumentError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"-S {' '.join(changes)}: {reason}") from None


def _save(outer: "Repo", inner: "Repo", name: str, base: str, force: bool) -> None:
    """Commit the clone as an experiment, as DVC does, and fetch it into the workspace's git."""
    from dvc.repo.experiments.executor.local import TempDirExecutor
    from dvc.repo.experiments.refs import EXEC_BASELINE, EXEC_BRANCH
    from dvc.scm import add_no_submodules
    from dvc.stage.utils import _get_stage_files

    stages = list(inner.index.stages)
    paths = {path for stage in stages for path in _get_stage_files(stage)}
    paths.update(TempDirExecutor._get_top_level_paths(inner))
    paths.update(inner.scm_context.files_to_track)
    inner.scm.set_ref(EXEC_BASELINE, base)
    add_no_submodules(inner.scm, [path for path in paths if Path(path).exists()], force=True)
    digest = TempDirExecutor.hash_exp([stage for stage in stages if stage.cmd])
    TempDirExecutor.commit(inner.scm, digest, exp_name=name, force=force)
    reference = inner.scm.get_ref(EXEC_BRANCH, follow=False)
    _git(
        Path(outer.scm.root_dir),
        "fetch",
        "--quiet",
        "--force",
        inner.scm.root_dir,
        f"{reference}:{reference}",
    )
