"""The DVC repository around the working directory, for one run at a time."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, NamedTuple

import psutil
from zc.lockfile import LockError, LockFile

from dvc_parallel.errors import InputError, dvc_errors

if TYPE_CHECKING:
    from dvc.repo import Repo

GRACE = 2.0  # seconds that an interrupted stage has before it is killed


class Workspace(NamedTuple):
    """An open repository, and what its workers need to know.

    Attributes:
        repo: DVC's repository.
        state: the folder for what is remembered between runs.
        run_lock: the descriptor of the file that is locked while a run or its workers live.
    """

    repo: "Repo"
    state: Path
    run_lock: int


@contextlib.contextmanager
def open_workspace(say: Callable[[str], None]) -> Iterator[Workspace]:
    """Open the repository for one run.

    Raises:
        InputError: another run is under way, or DVC cannot use what it finds.
    """
    with dvc_errors():
        repo = open_repo(say)
    with contextlib.closing(repo):
        state = Path(repo.tmp_dir, "parallel")
        state.mkdir(exist_ok=True)
        with contextlib.closing(_lock(state / "run.lock")) as lock:
            yield Workspace(repo, state, lock._fp.fileno())


def open_repo(say: Callable[[str], None]) -> "Repo":
    """DVC's repository, with a lock that is waited for."""
    from dvc.repo import Repo

    from dvc_parallel.waiting import PatientLock

    repo = Repo()
    repo.lock = PatientLock(repo.lock, Path(repo.root_dir), say)
    return repo


def _lock(path: Path) -> LockFile:
    """Lock the file; the workers of a run that was killed have a moment to end."""
    deadline = monotonic() + GRACE + 3
    while True:
        with contextlib.suppress(LockError):
            return LockFile(str(path))
        owner = path.read_text(encoding="ascii").strip()
        alive = owner.isdigit() and psutil.pid_exists(int(owner))
        if alive or monotonic() > deadline:
            raise InputError(
                f"another run is under way in this workspace (process {owner}): "
                "wait for it or stop it"
            )
        sleep(0.05)


def forget_dead_claims(repo: "Repo") -> None:
    """Remove DVC's list of the files in use if no running DVC process uses them.

    A killed DVC process leaves its claims behind, perhaps truncated. DVC itself then fails on the
    truncated file, or on a process id that now belongs to another program.
    """
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    from dvc_parallel.waiting import PatientLock, is_dvc

    tmp = Path(repo.tmp_dir)
    hardlink = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(str(tmp / RWLOCK_LOCK), tmp_dir=str(tmp), hardlink_lock=hardlink)
    with PatientLock(guard, Path(repo.root_dir), print):
        path = tmp / RWLOCK_FILE
        try:
            claims = json.loads(path.read_text(encoding="utf-8"))
            readers = [claim for claims in claims["read"].values() for claim in claims]
            owners = {claim["pid"] for claim in [*claims["write"].values(), *readers]}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError):
            owners = set()
        if not any(psutil.pid_exists(owner) and is_dvc(psutil.Process(owner)) for owner in owners):
            path.unlink()
