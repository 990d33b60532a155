"""Waiting for other processes, and finding out whether they still run."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
from zc.lockfile import LockError, LockFile

PATIENCE = 60  # seconds


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for that; AssertionError if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(process: psutil.Process) -> bool:
    """Not for one that has ended and that nobody has asked for its exit code."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def only_once(path: Path, make: Callable[[], object]) -> None:
    """Have one of several processes make `path`; the others wait until it is done."""
    done = path.with_name(f"{path.name}.done")
    while not done.exists():
        try:
            lock = LockFile(f"{path}.lock")
        except LockError:
            time.sleep(0.1)
            continue
        if not done.exists():
            make()
            done.touch()
        lock.close()
