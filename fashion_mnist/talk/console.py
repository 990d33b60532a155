"""How this project's programs print messages, fail and stop."""

import argparse
import contextlib
import faulthandler
import io
import os
import re
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from fashion_mnist.errors import COLORS, InputError, why

GRACE = 2.0  # seconds that an interrupted stage has to tidy up
# How TensorFlow and the libraries below it put it; their classes take seconds to load.
NO_MEMORY = re.compile(
    r"OOM when allocating|received an exception:Status:1,|std::bad_alloc|failed to map segment"
)


def takes_no_arguments(about: str | None, example: str) -> None:
    """Show a program's help if it is asked for, and refuse arguments.

    Args:
        about: the program's docstring.
        example: a command line.
    """
    about = (about or "").partition("\n")[0]
    argparse.ArgumentParser(description=about, epilog=f"example: {example}").parse_args()


def say(text: str) -> None:
    """Print one line at once, so that a log shows it when it happens."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(text, flush=True)


def note(about: object, notes: Iterable[str]) -> None:
    """Print remarks about something on standard error, a line each."""
    for text in notes:
        print(printable(f"note: {about}: {text}"), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text without what would change a terminal, such as the name of a file made to do so."""
    kept = COLORS.sub("", text)
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in kept)


def progress(
    total: int | None,
    description: str,
    unit: str = "it",
    over_silence: bool = False,
    **options: Any,
) -> tqdm:
    """A progress bar with the time left: on a terminal only, gone when it is done.

    Args:
        total: how many units there are.
        description: in front of it.
        unit: one of what is counted.
        over_silence: shown also while `quiet.silent_stderr` hides what libraries print.
        options: tqdm's.
    """
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    shown_on = sys.stderr
    if over_silence and is_shown:
        shown_on = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=shown_on,
        disable=not is_shown,
        leave=False,
        dynamic_ncols=True,
        **options,
    )


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and end the process; errors the user can fix become one line and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Its own advice, such as about an argument that a file's author chose.
    warnings.filterwarnings("ignore", module=r"keras\b")
    if "DVC_STAGE" in os.environ:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _heed_interrupts()
        threading.Thread(target=_end_with_dvc, args=[os.getppid()], daemon=True).start()
    try:
        code = main()
    except InputError as error:
        code = _fail(str(error))
    except BrokenPipeError:
        discard_output()  # whoever read it has gone, as `head` does
        code = 141  # as a shell reports it
    except OSError as error:
        where = f"{os.fspath(error.filename)}: " if error.filename else ""
        code = _fail(f"{where}{why(error)}")
        try:
            print(end="", flush=True)
        except OSError:
            discard_output()
    except KeyboardInterrupt:
        _leave(130)  # nothing is left to wait for
    except Exception as error:
        if not _short_of_memory(error):
            raise
        code = _fail("not enough memory: close other programs or lower the batch size")
    sys.exit(code)


def discard_output() -> None:
    """Send standard output nowhere; else Python tries again at exit, and shows a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_with_dvc(parent: int) -> None:
    """Interrupt this process when DVC, which started it, is gone: its result would be lost."""
    import psutil  # takes a while to load, and the stage has begun

    with contextlib.suppress(psutil.NoSuchProcess):
        starter = psutil.Process(parent)
        # The shell that DVC uses: bash becomes its command, Debian's sh starts it and waits.
        if starter.name() == Path(os.environ.get("SHELL") or "/bin/sh").name:
            starter = psutil.Process(starter.ppid())
        while starter.is_running() and starter.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
    _end_soon()
    os.kill(os.getpid(), signal.SIGINT)


def _heed_interrupts() -> None:
    """Make Ctrl-C end this process soon, even while Python waits for a library's computation."""
    ours, signals = socket.socketpair()
    signals.setblocking(False)
    signal.set_wakeup_fd(signals.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_end_when_interrupted, args=[ours], daemon=True).start()


def _end_when_interrupted(numbers: socket.socket) -> None:
    while numbers.recv(1) != bytes([signal.SIGINT]):
        pass
    _end_soon()


def _end_soon() -> None:
    """Make this process end even if the KeyboardInterrupt is lost.

    Python drops one that is raised in a finalizer, and a library may keep Python waiting. Only
    faulthandler's watchdog, in the standard library, ends a process without running Python code.
    """
    nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115
    faulthandler.dump_traceback_later(GRACE, exit=True, file=nowhere)


def _leave(code: int) -> NoReturn:
    """End without a teardown: TensorFlow's may wait for its own threads for a minute."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether this error, or one being handled when it was raised, is out of memory."""
    while error is not None:
        if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
            return True
        error = error.__context__
    return False


def _fail(message: str) -> int:
    print(printable(f"error: {message}"), file=sys.stderr, flush=True)
    return 1
