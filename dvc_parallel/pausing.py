"""What Ctrl-Z does: the stages pause with the run, and go on with it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


@contextlib.contextmanager
def pausable(groups: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Let Ctrl-Z stop these process groups, too; a terminal's signal does not reach them.

    Args:
        groups: gives the ids of the process groups of the workers.
    """

    def pause(*_: object) -> None:
        paused = list(groups())
        for group in paused:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGSTOP)
        # They go on when this process does, and also if it is killed: to find that out, and end.
        with subprocess.Popen(
            ["/bin/sh", "-c", 'read line; kill -s CONT -- "$@"', "sh", *(f"-{g}" for g in paused)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ):
            terminal = sys.stdout.isatty()
            if terminal:
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # returns after SIGCONT
            signal.signal(signal.SIGTSTP, pause)
            if terminal:
                os.write(sys.stdout.fileno(), HIDE_CURSOR)

    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield  # ignored: there is no shell that could continue the run
        return
    signal.signal(signal.SIGTSTP, pause)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
