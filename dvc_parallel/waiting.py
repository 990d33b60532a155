"""DVC's repository lock, taken in milliseconds and never waited for in silence."""

import logging
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import psutil
from dvc.lock import HardlinkLock, Lock, LockBase, LockError

from dvc_parallel.errors import InputError

PAUSE = 0.005  # seconds between two tries; DVC's own half a second would stall short stages
SILENCE = 5.0  # seconds of waiting before a word about it
DVC = {"dvc", "dvc.exe", "dvc-parallel", "dvc_parallel"}  # programs, modules and their folders
PYTHON = re.compile(r"(python|pypy)[\d.]*(\.exe)?", re.IGNORECASE)


class PatientLock(LockBase):
    """Waits for DVC's lock as long as it takes, and measures for how long it was released.

    DVC releases the lock while a stage's command runs: `away` is how long that took.
    """

    def __init__(self, inner: Lock | HardlinkLock, root: Path, say: Callable[[str], None]) -> None:
        self.inner = inner
        self.path = Path(inner.lockfile)
        self.away = 0.0
        self._root = root
        self._say = say
        self._unlocked_at: float | None = None
        self._hard = isinstance(inner, HardlinkLock)
        # It reports each try that fails as an error.
        logging.getLogger("flufl.lock").setLevel(logging.CRITICAL)

    def lock(self) -> None:
        """Take the lock.

        Raises:
            InputError: it is a hard link that a dead process left behind.
        """
        started = monotonic()
        if self._unlocked_at is not None:
            self.away += started - self._unlocked_at
        told = False
        while not self._try():
            if not told and monotonic() - started > SILENCE:
                told = True
                if self._hard and not _dvc_runs_in(self._root):
                    raise InputError(
                        f"DVC's lock was left behind by a process that has ended: remove "
                        f"{self.path}, unless DVC runs here on another machine"
                    )
                self._say(f"waiting for DVC's lock {self.path}{self._owner()}")
            sleep(PAUSE)

    def _try(self) -> bool:
        try:
            if isinstance(self.inner, HardlinkLock):
                self.inner.lock(timedelta(seconds=-1))  # one try
            else:
                self.inner._do_lock()
        except LockError:
            return False
        return True

    def _owner(self) -> str:
        if self._hard:
            return ", which another process holds"
        return f", which process {self.path.read_text(encoding='ascii').strip()} holds"

    def unlock(self) -> None:
        """Let go of the lock."""
        self.inner.unlock()
        self._unlocked_at = monotonic()

    @property
    def is_locked(self) -> bool:
        """Whether this process holds the lock."""
        return bool(self.inner.is_locked)

    def __enter__(self) -> None:
        self.away = 0.0
        self._unlocked_at = None
        self.lock()

    def __exit__(self, *_: object) -> None:
        self.unlock()


def is_dvc(process: psutil.Process) -> bool:
    """Whether a process that still runs is DVC or uses it, judging by its command line."""
    try:
        # A process that has ended and was not waited for still has an id, but no command line.
        return runs_dvc(process.cmdline())
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def runs_dvc(words: list[str]) -> bool:
    """Whether a command line runs DVC, unlike `vim dvc.yaml`, which only names its files."""
    program, *arguments = words or [""]
    if not PYTHON.fullmatch(Path(program).name):
        return Path(program).name in DVC
    while arguments:
        word = arguments.pop(0)
        if word == "-m":
            return bool(arguments) and arguments[0].partition(".")[0] in DVC
        if word == "-c":
            return bool(arguments) and "dvc" in arguments[0]
        if word in ("-W", "-X"):
            del arguments[:1]
        elif not word.startswith("-"):
            return not DVC.isdisjoint(Path(word).parts)
    return False


def _dvc_runs_in(root: Path) -> bool:
    for process in psutil.process_iter():
        if process.pid == os.getpid() or not is_dvc(process):
            continue
        try:
            if Path(process.cwd()).is_relative_to(root):
                return True
        except psutil.AccessDenied:
            return True
        except psutil.Error:
            continue
    return False
