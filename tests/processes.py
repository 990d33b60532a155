"""Waiting for other processes, and telling whether they still run."""

import time
from collections.abc import Callable

import psutil

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
