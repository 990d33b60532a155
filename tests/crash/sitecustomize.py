"""Python loads this at its start if this folder is on PYTHONPATH: counts writes, and kills.

Each file that is opened for writing, renamed or removed under $CRASH_WORKSPACE adds a byte
to $CRASH_COUNT, in whichever process of the run it happens; with $CRASH_FILE set, those of
that name only. The process that does number $CRASH_AT is killed at once, or $CRASH_AFTER
microseconds later, when the file is open but perhaps not yet written.
"""

import os
import signal
import sys
from pathlib import Path

CHANGING = ("os.rename", "os.remove", "os.link", "os.symlink", "os.rmdir")


def watch() -> None:
    workspace = os.environ["CRASH_WORKSPACE"]
    name = os.environ.get("CRASH_FILE")
    count = os.open(os.environ["CRASH_COUNT"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    at = int(os.environ.get("CRASH_AT", 0))
    after = int(os.environ.get("CRASH_AFTER", 0))

    def is_counted(event: str, arguments: tuple) -> bool:
        if event != "open" and event not in CHANGING:
            return False
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return False
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return False
        path = Path(os.fsdecode(arguments[0])).absolute()
        return path.is_relative_to(workspace) and name in (None, path.name)

    def hook(event: str, arguments: tuple) -> None:
        if not is_counted(event, arguments):
            return
        os.write(count, b".")
        if os.fstat(count).st_size == at:
            if after:
                signal.setitimer(signal.ITIMER_REAL, after * 1e-6)  # ends a process by default
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if "CRASH_WORKSPACE" in os.environ:
    watch()
