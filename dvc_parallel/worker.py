"""A worker: a process that reproduces one stage after the other with DVC's own code.

It reads jobs from its standard input and writes messages to its standard output, both
pickled. It lives as long as its standard input stays open: when the process that started it
dies, even by a signal that cannot be caught, the worker and its stage end too.
"""

import codecs
import contextlib
import gc
import importlib
import io
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from dvc_parallel.errors import in_one_line
from dvc_parallel.plan import Reference
from dvc_parallel.screen import WIDEST
from dvc_parallel.workspace import GRACE, open_repo

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

BUSY = 10.0  # seconds to wait until another DVC process releases the files that a stage needs
KEPT = 4  # repositories that stay open, because later stages of their experiments may come
PACKAGE = Path(__file__).parent
END_OF_STAGE = "\0dvc-parallel\0"
# What DVC prints around a stage's own lines, and this program reports itself.
CHATTER = re.compile(
    r"\s*$|Running stage '|(Updating|Generating) lock file '|Use `dvc push` |"
    r"To (track the changes with git|enable auto staging), run:|\s+(git add|dvc config) "
)


class Job(NamedTuple):
    """A stage to reproduce.

    Attributes:
        folder: the working directory.
        stage: where it is written.
        upstream: the stages directly above it.
        options: those of DVC's `Stage.reproduce`.
        result: its entry in dvc.lock, if the same stage has run elsewhere; its outs are in DVC's
            cache.
    """

    folder: str
    stage: Reference
    upstream: tuple[Reference, ...]
    options: dict[str, Any]
    result: Any = None


class Message(NamedTuple):
    """What a worker sends.

    The kinds are a whole `line`, a line that is still `growing`, the `outcome` of a stage, and
    first of all the `claim`: DVC's lock file and the worker's claim to it, if it has one.
    """

    kind: str
    content: Any


class Outcome(NamedTuple):
    """What became of a stage.

    Attributes:
        error: why it failed, or an empty text.
        seconds: how long its command ran; 0 if it did not have to.
        entry: what belongs in dvc.lock; None if that stays as it is.
        changed: other files, such as .gitignore, that DVC has written for it.
    """

    error: str
    seconds: float = 0.0
    entry: Any = None
    changed: frozenset[str] = frozenset()


class Handle(NamedTuple):
    """A worker as seen by the process that started it."""

    process: subprocess.Popen[bytes]
    jobs: BinaryIO
    messages: BinaryIO


def start(
    folder: str,
    environment: Mapping[str, str],
    keep_open: int | None = None,
    stages_input: int | None = None,
) -> Handle:
    """Start a worker, as the leader of a process group of its own.

    Args:
        folder: its working directory.
        environment: its environment variables.
        keep_open: a descriptor that the worker inherits, with the lock that lies on it.
        stages_input: the descriptor of what its stages read from standard input; nothing if None.
    """
    # Not with -m, which would import from the working directory.
    code = f"import sys; sys.path.append({str(PACKAGE.parent)!r}); import dvc_parallel.worker as w"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", f"{code}; w.main({stages_input})"],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=[number for number in (keep_open, stages_input) if number is not None],
    )
    return Handle(process, cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout))


def send(stream: BinaryIO, message: Job | Message) -> None:
    """Send a job to a worker, or its message back."""
    pickle.dump(tuple(message), stream)
    stream.flush()


def main(stages_input: int | None = None) -> None:
    """Serve jobs until standard input ends.

    Args:
        stages_input: the descriptor of what the stages read from theirs; nothing if None.
    """
    # A shell's background job ignores interrupts, and would hand that on to the stages.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    jobs = os.fdopen(os.dup(0), "rb")
    channel = Channel(os.fdopen(os.dup(1), "wb"))
    reader = Jobs(jobs)
    os.dup2(os.open(os.devnull, os.O_RDONLY) if stages_input is None else stages_input, 0)
    gc.set_threshold(100_000)  # what DVC's import creates is no garbage
    try:
        worker = Worker()
        channel.send(Message("claim", worker.claim))
        import_what_stages_need()
        while (job := reader.next()) is not None:
            if worker.moved_to(job.folder):
                channel.send(Message("claim", worker.claim))
            outcome = worker.reproduce(job)
            reader.idle()  # first: the outcome may be answered by the next job at once
            channel.finish(outcome)
    finally:
        if reader.abandoned:
            os.killpg(0, signal.SIGKILL)  # what is left of the stage, and this worker


def import_what_stages_need() -> None:
    """Import what DVC would import in the middle of the first stage: now there is time for it."""
    for module in ("dvc.rwlock", "dvc_data.hashfile.status", "ruamel.yaml"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


class Jobs:
    """The jobs from standard input; if that ends, the stage that runs is ended, too."""

    def __init__(self, stream: BinaryIO) -> None:
        self.abandoned = False
        self._stream = stream
        self._lock = threading.Condition()
        self._job: Job | None = None
        self._over = False
        self._busy = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                job = Job(*pickle.load(self._stream))  # noqa: S301
                with self._lock:
                    self._job = job
                    self._busy = True
                    self._lock.notify()
        with self._lock:
            self._over = True
            self.abandoned = self._busy
            self._lock.notify()
        if self.abandoned:
            # DVC itself heeds an interrupt only while no command runs: then the command does.
            os.killpg(0, signal.SIGINT)
            sleep(GRACE)
            os.killpg(0, signal.SIGKILL)

    def next(self) -> Job | None:
        """Wait for a job; None if there will be no more."""
        with self._lock:
            self._lock.wait_for(lambda: self._job or self._over)
            job, self._job = self._job, None
            return None if self.abandoned else job

    def idle(self) -> None:
        """The job is done."""
        with self._lock:
            self._busy = False


class Channel:
    """Sends what the stages and DVC print, line by line, and the outcomes, in this order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sending = threading.Lock()
        self._silent = threading.Event()
        output, into = os.pipe()
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.close(into)
        threading.Thread(target=self._forward, args=[output], daemon=True).start()

    def finish(self, outcome: Outcome) -> None:
        """Send an outcome behind all lines that were printed before."""
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"{END_OF_STAGE}\n".encode())
        self._silent.wait()
        self._silent.clear()
        self.send(Message("outcome", outcome))

    def send(self, message: Message) -> None:
        """Send a message."""
        with self._sending:
            send(self._stream, message)

    def _forward(self, output: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        line = io.StringIO()  # joins a long line's parts once, in time linear in its length
        while data := os.read(output, 65536):
            text, *others = decoder.decode(data).split("\n")
            line.write(text)
            for text in others:
                self._end_line(line.getvalue())
                line = io.StringIO()
                line.write(text)
            if "\r" in text:
                state = _last_state(line.getvalue())
                line = io.StringIO()
                line.write(state)
            if line.tell() <= WIDEST:
                self._line("growing", line.getvalue())

    def _end_line(self, text: str) -> None:
        text, over, _ = text.partition(END_OF_STAGE)
        self._line("line", text)
        if over:
            self._silent.set()

    def _line(self, kind: str, text: str) -> None:
        line = _last_state(text).rstrip()
        if not CHATTER.match(line):
            self.send(Message(kind, line))


def _last_state(line: str) -> str:
    """What a line shows after its last carriage return, as a progress bar prints them."""
    return line[line.rstrip("\r\n\t ").rfind("\r") + 1 :]


class Worker:
    """Reproduces stages of the repository around the working directory."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Repo, dict[tuple[str, str | None], Stage]]] = {}
        self._enter(os.getcwd())  # noqa: PTH109

    def _enter(self, folder: str) -> None:
        """Take the repository around the working directory, which may be open already."""
        self._folder = folder
        if folder not in self._opened:
            self._opened[folder] = open_repo(print), {}
        self._repo, self._stages = self._opened[folder] = self._opened.pop(folder)  # the last one
        if len(self._opened) > KEPT:
            longest_unused = next(iter(self._opened))
            self._opened.pop(longest_unused)[0].close()

    def moved_to(self, folder: str) -> bool:
        """Whether the next stage lies in another folder, whose repository is now open."""
        if folder == self._folder:
            return False
        os.chdir(folder)
        self._enter(folder)
        return True

    @property
    def claim(self) -> tuple[str, str] | None:
        """DVC's lock file and this worker's claim to it, if the lock outlives its owner."""
        inner = self._repo.lock.inner
        return (inner.lockfile, inner._claimfile) if hasattr(inner, "_claimfile") else None

    def reproduce(self, job: Job) -> Outcome:
        """Do what `dvc repro` does for a stage, except for its entry in dvc.lock."""
        from dvc.lock import LockError

        deadline = monotonic() + BUSY
        while True:
            try:
                entry = self._reproduce(job)
                error = ""
            except LockError as busy:
                # Another DVC uses the stage's files, or its previous worker is still exiting.
                if not self._seconds and monotonic() < deadline:
                    sleep(0.1)
                    continue
                error = in_one_line(busy)
            except Exception as failure:  # whatever DVC or a library raises fails the stage
                error = in_one_line(failure)
            break
        changed = frozenset(self._repo.scm_context.files_to_track)
        self._repo.scm_context.files_to_track = set()
        if error:
            return Outcome(error, self._seconds, None, changed)
        return Outcome("", self._seconds, entry, changed)

    @property
    def _seconds(self) -> float:
        return self._repo.lock.away

    def _reproduce(self, job: Job) -> Any:
        from dvc.repo import lock_repo
        from dvc.stage import PipelineStage
        from dvc.stage.serialize import to_lockfile

        with lock_repo(self._repo):
            stage = self._stage(job.stage)
            if job.result is not None and not stage.deps:
                return self._take(stage, job.result)
            upstream = [self._stage(above) for above in job.upstream]
            if not stage.reproduce(upstream=upstream, **job.options):
                return None
            if isinstance(stage, PipelineStage):
                return to_lockfile(stage)[stage.name]
            stage.dump(update_pipeline=False)
            return None

    def _take(self, stage: "Stage", result: Any) -> Any:
        """Take the result of the same stage: DVC's run cache leaves out those without deps."""
        from dvc.stage.loader import StageLoader

        StageLoader.fill_from_lock(stage, result)
        stage.ignore_outs()
        stage.checkout(force=True)
        print(f"Stage '{stage.addressing}' has run in another experiment, taking its outputs")
        return result

    def _stage(self, reference: Reference) -> "Stage":
        key = reference.path, reference.name
        if key not in self._stages:
            self._stages[key] = reference.load(self._repo)
        return self._stages[key]
