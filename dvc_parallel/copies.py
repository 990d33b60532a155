"""Copies of the workspace, in which experiments run: DVC makes them and collects the results.

What DVC does for `dvc exp run --temp` is done here by the same classes of DVC, except for the
step that reproduces the stages: the copy comes from DVC's stash entry, and the commit from DVC's
executor. Many experiments share one stash entry, so that the workspace is touched only once.
"""

import contextlib
import filecmp
import logging
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from dvc_parallel.errors import InputError, in_one_line
from dvc_parallel.source import Experiment, Overrides
from dvc_parallel.waiting import PatientLock

if TYPE_CHECKING:
    from dvc.repo import Repo

KEPT = "refs/exps/temp/dvc-parallel"  # keeps git's garbage collection away from the snapshot


class Snapshot(NamedTuple):
    """The workspace as DVC stashed it.

    Attributes:
        revision: the stash commit.
        head: the commit that was checked out.
        baseline: the commit that the experiments belong to.
        hydra: DVC's options for Hydra, with absolute paths.
    """

    revision: str
    head: str
    baseline: str
    hydra: dict[str, str]


@contextlib.contextmanager
def snapshot(repo: "Repo", files: Collection[str], parent: Path) -> Iterator[Snapshot]:
    """The workspace's tracked files as they are now, changes included.

    Args:
        repo: the workspace's repository.
        files: those that the experiments change; they are included even if untracked.
        parent: a folder for what else the experiments need.

    Raises:
        InputError: DVC cannot stash the workspace.
    """
    from dvc.repo import lock_repo

    hydra = _hydra(repo, parent)
    queue = repo.experiments.tempdir_queue
    with (
        whatever_fails(),
        lock_repo(repo),
        _workspace_kept(repo, files, parent.with_name("workspace")),
    ):
        queued = repo.experiments.new(queue)
        entry = queue.get_stash_entry(repo.experiments, queued)
        repo.scm.set_ref(KEPT, queued.stash_rev)
    try:
        yield Snapshot(queued.stash_rev, entry.head_rev, entry.baseline_rev, hydra)
    finally:
        repo.scm.remove_ref(KEPT)


def _hydra(repo: "Repo", parent: Path) -> dict[str, str]:
    """DVC composes from untracked files, too: keep them as they are now."""
    options = dict(repo.config.get("hydra", {}))
    if not options.get("enabled"):
        return {}
    root = Path(repo.root_dir)
    if "config_module" not in options:
        there = root / options.get("config_dir", "conf")
        if there.is_dir():
            options["config_dir"] = str(shutil.copytree(there, parent / "hydra"))
    return {**options, "plugins_path": str(root / options.get("plugins_path", ""))}


@contextlib.contextmanager
def whatever_fails() -> Iterator[None]:
    """As DVC's own command, report in one line what DVC, git or Hydra raise."""
    try:
        yield
    except InputError:
        raise
    except UnicodeEncodeError as error:
        raise InputError(
            f"{error.object!r} cannot be written in this locale: set LC_ALL=C.UTF-8"
        ) from None
    except Exception as error:
        reason = in_one_line(error)
        if "not owned by current user" in reason:
            reason = (
                f"the git repository {Path.cwd()} lies in belongs to another user: if you trust "
                "it, run `git config --global --add safe.directory` with its folder"
            )
        raise InputError(reason) from error


@contextlib.contextmanager
def _workspace_kept(repo: "Repo", files: Collection[str], aside: Path) -> Iterator[None]:
    """Let DVC stash the workspace with some files besides, and leave all as it was.

    DVC puts the changes aside and back, without git's filters: it may write what is encrypted in
    git over what is not in the workspace. It also forgets what `git add --intent-to-add` noted.

    Args:
        repo: the workspace's repository.
        files: to be included even if they are untracked.
        aside: a folder for the changed files and git's index, in case this is killed.
    """
    git = repo.scm.pygit2.repo
    top, head = Path(repo.scm.root_dir), Path(git.path, "HEAD")
    if aside.exists() and _is_back(aside, top, head):
        shutil.rmtree(aside)
    if aside.exists():
        raise InputError(
            "a run was killed while DVC had put the workspace's changes aside: they are in "
            f"{aside} and in `git stash list`: take back what is missing, check out the branch "
            "again, and remove that folder"
        )
    if conflicts := git.index.conflicts:
        path = next(side.path for sides in conflicts for side in sides if side)
        raise InputError(
            f"{path} holds a merge conflict: solve it and `git add {path}`, or abort the merge "
            "or rebase"
        )
    modified = _modified(top)
    changed = [
        path for path in {*modified, *git.status(untracked_files="no")} if _is_file(top / path)
    ]
    index = Path(git.path, "index")
    aside.mkdir()
    _copy(head, aside / "HEAD")
    _copy(index, aside / "index")
    for path in changed:
        _copy(top / path, aside / "files" / path)
    untracked = {os.path.realpath(path) for path in repo.scm.untracked_files()}
    if added := [path for path in files if os.path.realpath(path) in untracked]:
        repo.scm.add(added)
    try:
        yield
    finally:
        for path in changed:
            _copy(aside / "files" / path, top / path)
        _copy(aside / "index", index)
        if wrong := _modified(top) - modified:
            paths = b"".join(os.fsencode(path) + b"\0" for path in wrong)
            _git(top, "checkout-index", "--force", "-z", "--stdin", given=paths)
        shutil.rmtree(aside)


def _is_back(aside: Path, top: Path, head: Path) -> bool:
    """Whether what was put aside is in the workspace, so that nothing is missing."""
    kept = aside / "files"
    pairs = [(path, top / path.relative_to(kept)) for path in kept.rglob("*") if _is_file(path)]
    return all(
        _is_file(ours) and _is_file(theirs) and filecmp.cmp(ours, theirs, shallow=False)
        for ours, theirs in [(aside / "HEAD", head), *pairs]
    )


def _modified(top: Path) -> set[str]:
    """The files that differ from git's index, as git itself sees them."""
    listed = _git(top, "diff", "--name-only", "--ignore-submodules", "-z")
    return {os.fsdecode(path) for path in listed.split(b"\0") if path}


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=given, capture_output=True, check=False
    )
    if done.returncode:
        raise InputError(f"git {arguments[0]}: {os.fsdecode(done.stderr).strip()}")
    return done.stdout


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _copy(source: Path, target: Path) -> None:
    """Replace the target whole."""
    if _is_file(source):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copy2(source, part, follow_symlinks=False)
        part.replace(target)


class Copy:
    """A folder with an experiment's files.

    Attributes:
        folder: the one that corresponds to the current folder.
        repo: the repository in it.
        variables: environment variables that the stages see besides.
        left_out: the files that were not saved, because git does not track them.
    """

    def __init__(
        self, outer: "Repo", taken: Snapshot, experiment: Experiment, parent: Path
    ) -> None:
        """Make it.

        Args:
            outer: the workspace's repository.
            taken: the snapshot that it starts from.
            experiment: what it is for.
            parent: where the folder is to be.

        Raises:
            InputError: the parameters cannot be changed so.
        """
        from dvc.repo.experiments.executor.local import TempDirExecutor
        from dvc.repo.experiments.stash import ExpStashEntry

        self._outer = outer
        self._name = experiment.name
        self.left_out: list[str] = []
        entry = ExpStashEntry(None, taken.head, taken.baseline, None, experiment.name)
        self._executor = TempDirExecutor.from_stash_entry(outer, entry, wdir=str(parent))
        self._opened = contextlib.ExitStack()
        self._opened.callback(self._executor.cleanup)
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._opened)
            self._executor.init_git(outer, outer.scm, taken.revision, entry, None)
            self._executor.init_cache(outer, taken.revision)
            self.folder = Path(self._executor.root_dir, self._executor.wdir)
            with chdir(self.folder):
                _change(experiment.overrides, taken.hydra)
            self._info = self._executor.info
            here = Path.cwd()
            opened = TempDirExecutor._repro_dvc(self._info, None, log_errors=False)
            self.repo = self._opened.enter_context(opened)
            self.repo.lock = PatientLock(self.repo.lock, Path(self.repo.root_dir), print)
            self.repo.cloud.get_remote = _no_remote
            _, options = TempDirExecutor._repro_args(self.repo)
            os.chdir(here)
            self.variables = self._variables(options.get("run_env", {}))
            undo.pop_all()

    def _variables(self, variables: Mapping[str, str]) -> dict[str, str]:
        from dvc.env import DVC_EXP_NAME

        return {**variables, DVC_EXP_NAME: self._name}

    def checkout(self, targets: Collection[str]) -> None:
        """Bring in what DVC's cache holds."""
        from dvc.logger import set_loggers_level

        with set_loggers_level(logging.ERROR):  # that something is missing is no news
            self.repo.checkout(
                targets=list(targets) or None,
                with_deps=bool(targets),
                force=True,
                allow_missing=True,
            )

    def is_what_was_saved(self, revision: str) -> bool:
        """Whether a saved experiment started from the same files as this copy, which is fresh."""
        with chdir(self.folder):
            self.repo.scm.add([], update=True)
            git = self.repo.scm.dulwich.repo
            ours = {path: entry.sha for path, entry in git.open_index().items()}
            store = self._outer.scm.dulwich.repo.object_store
            tree = store[revision.encode()].tree
            saved = {entry.path: entry.sha for entry in store.iter_tree_contents(tree)}
            differing = {path for path in ours.keys() | saved if ours.get(path) != saved.get(path)}
            root = Path(self.repo.scm.root_dir)
            outs = {Path(out.fs_path) for out in self.repo.index.outs}
            for path in (root / os.fsdecode(path) for path in differing):
                if path.name not in ("dvc.lock", ".gitignore") and outs.isdisjoint(
                    (path, *path.parents)
                ):
                    return False
            return True

    def save(self, stages: Iterable[str], ran: Mapping[str, Any], force: bool) -> str:
        """Commit the experiment and fetch it into the workspace's repository.

        Args:
            stages: all that were looked at.
            ran: the entries in dvc.lock of those that changed, by their names.
            force: whether it replaces another one of its name.

        Returns:
            the commit.
        """
        from dvc.logger import set_loggers_level
        from dvc.repo import lock_repo
        from dvc.repo.experiments.executor.base import ExecutorResult
        from dvc.repo.experiments.executor.local import TempDirExecutor
        from dvc.scm import add_no_submodules
        from dvc.stage.utils import _get_stage_files
        from dvc.utils import dict_sha256

        repo = self.repo
        with chdir(self.folder), lock_repo(repo):
            repo._reset()
            by_name = {stage.addressing: stage for stage in repo.index.stages}
            for name in stages:
                repo.scm_context.add(_get_stage_files(by_name[name]))
            if repo.scm_context.autostage:
                repo.scm_context.track_changed_files()
            if paths := TempDirExecutor._get_top_level_paths(repo):
                add_no_submodules(repo.scm, paths)
            digest = dict_sha256(dict(ran))
            del repo.cloud.get_remote  # the commit may be pushed
            with set_loggers_level(logging.ERROR):  # `left_out` tells it
                reference, info, force = TempDirExecutor._repro_commit(
                    repo, self._info, digest, force
                )
            self.left_out = sorted(repo.scm.untracked_files())
        result = ExecutorResult(digest, info, force)
        experiments = self._outer.experiments
        experiments.tempdir_queue.collect_executor(experiments, self._executor, result)
        return str(self._outer.scm.get_ref(reference))

    def close(self) -> None:
        """Remove it."""
        self._opened.close()


def _no_remote(*_: object, **__: object) -> NoReturn:
    """DVC looks at the remote of each out, which a run does not need and may not reach."""
    from dvc.config import NoRemoteError

    raise NoRemoteError("an experiment's copy has no remote")


def _change(overrides: Overrides, hydra: Mapping[str, str]) -> None:
    """Change the parameters in the current folder, with Hydra if that is enabled."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.repo import Repo

    if not overrides:
        return
    with Repo() as repo:
        repo.config["hydra"] = dict(hydra)
        composed = composed_file(repo)
        for path in overrides:
            if path != composed and not Path(path).exists():
                raise InputError(f"-S: there is no file {path}")
        try:
            repo.experiments.tempdir_queue._update_params(overrides)
        except InvalidArgumentError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            changes = " ".join(change for of_file in overrides.values() for change in of_file)
            raise InputError(f"-S {changes}: {reason}") from None


def composed_file(repo: "Repo") -> str | None:
    """The file of parameters that Hydra composes; None if it is not enabled."""
    from dvc.dependency import ParamsDependency

    enabled = repo.config.get("hydra", {}).get("enabled", False)
    return ParamsDependency.DEFAULT_PARAMS_FILE if enabled else None


def read_saved(repo: "Repo", revision: str, path: str) -> bytes:
    """The content of a file in a commit, or of DVC's data for it, as seen from this folder.

    Raises:
        FileNotFoundError: there is none.
    """
    from dvc.repo.brancher import switch

    inside = Path(os.path.relpath(path, repo.root_dir)).as_posix()
    with switch(repo, revision):
        return bytes(repo.dvcfs.read_bytes(inside))
