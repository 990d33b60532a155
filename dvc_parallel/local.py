"""Workers on this machine."""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from dvc_parallel import worker
from dvc_parallel.worker import Handle, Job, Message, Outcome
from dvc_parallel.workspace import GRACE

TRIES = 3  # how often a stage whose worker dies is started


class LocalCrew:
    """Runs each stage in an idle worker, or in a new one if all are busy."""

    def __init__(
        self, environment: Mapping[str, str], run_lock: int, one_at_a_time: bool = False
    ) -> None:
        """Begin without workers.

        Args:
            environment: the environment variables of the stages.
            run_lock: the descriptor of the file that is locked while a run or its workers live.
            one_at_a_time: whether no two stages run at once; they can then read standard input.
        """
        self._environment = environment
        self._run_lock = run_lock
        self._input = _standard_input() if one_at_a_time else None
        self._busy: dict[Handle, tuple[str, Job]] = {}
        self._claims: dict[Handle, tuple[str, str] | None] = {}
        self._tries: dict[str, int] = {}
        self._folders: dict[Handle, str] = {}  # a worker to the folder whose files it has read
        self._events: queue.SimpleQueue[tuple[Handle, Message | None]]
        self._events = queue.SimpleQueue()
        self._idle: list[Handle] = []

    def expect(self, count: int) -> None:
        """So many stages may run at once soon: start workers for them."""
        for _ in range(count - len(self._idle) - len(self._busy)):
            self._idle.append(self._hire())

    def start(self, name: str, job: Job) -> None:
        """Have a stage run."""
        self._tries[name] = self._tries.get(name, 0) + 1
        self._idle.sort(key=lambda handle: self._folders.get(handle) == job.folder)
        handle = self._idle.pop() if self._idle else self._hire()
        self._folders[handle] = job.folder
        self._busy[handle] = (name, job)
        with contextlib.suppress(BrokenPipeError):  # it has died, as its reader will notice
            worker.send(handle.jobs, job)

    def _hire(self) -> Handle:
        folder = os.getcwd()  # noqa: PTH109
        handle = worker.start(folder, self._environment, self._run_lock, self._input)
        threading.Thread(target=self._read, args=[handle], daemon=True).start()
        return handle

    def _read(self, handle: Handle) -> None:
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self._events.put((handle, Message(*pickle.load(handle.messages))))  # noqa: S301
        self._events.put((handle, None))

    def next(self, timeout: float) -> tuple[str, Message] | None:
        """Wait so many seconds for the next message about a stage."""
        while True:
            try:
                handle, message = self._events.get(timeout=timeout)
            except queue.Empty:
                return None
            if message is None:
                if lost := self._bury(handle):
                    return lost
                continue
            if message.kind == "claim":
                self._claims[handle] = message.content
                continue
            if handle not in self._busy:
                continue  # what a stage left behind prints, or Python as the worker starts
            name, _ = self._busy[handle]
            if message.kind == "outcome":
                del self._busy[handle]
                self._idle.append(handle)
            return name, message

    def _bury(self, handle: Handle) -> tuple[str, Message] | None:
        """A worker has died: end what is left of its stage, and start that again."""
        _kill(handle)
        if claim := self._claims.pop(handle, None):
            _unlock(*map(Path, claim))
        if handle in self._idle:
            self._idle.remove(handle)
            return None
        name, job = self._busy.pop(handle)
        if self._tries[name] == TRIES:
            error = (
                f"its worker died {TRIES} times, last with exit code {handle.process.returncode}"
            )
            return name, Message("outcome", Outcome(error))
        self.start(name, job)
        return name, Message("line", "starts again: its worker died")

    def groups(self) -> list[int]:
        """The workers' process groups, which are also those of their stages."""
        return [handle.process.pid for handle in (*self._busy, *self._idle)]

    def close(self) -> None:
        """End the workers; a stage that still runs is interrupted, and killed if need be."""
        for handle in self._idle:
            handle.process.kill()  # and nothing of its group: a stage may have started a service
            handle.process.wait()
        for handle in self._busy:
            with contextlib.suppress(BrokenPipeError):
                handle.jobs.close()
        deadline = monotonic() + GRACE + 1
        for handle in self._busy:
            with contextlib.suppress(subprocess.TimeoutExpired):
                handle.process.wait(max(0.0, deadline - monotonic()))
            _kill(handle)
        self._idle, self._busy = [], {}
        if self._input is not None:
            os.close(self._input)
            self._input = None


def _standard_input() -> int | None:
    """A copy of its descriptor; None if it is closed."""
    try:
        return os.dup(0)
    except OSError:
        return None


def _kill(handle: Handle) -> None:
    """Kill a worker and all of its process group, and wait for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(handle.process.pid, signal.SIGKILL)
    handle.process.wait()


def _unlock(lock: Path, claim: Path) -> None:
    """Remove a lock that is a hard link to the claim of a worker that has died."""
    with contextlib.suppress(FileNotFoundError):
        if lock.samefile(claim):
            lock.unlink()
    claim.unlink(missing_ok=True)
