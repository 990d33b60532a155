"""How a program of this project speaks to the person who started it."""

import os
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from fashion_mnist.errors import InputError, why


def say(text: str) -> None:
    """Print one line at once, so that a log shows it when it happens."""
    with tqdm.external_write_mode(file=sys.stdout):
        print(text, flush=True)


def progress(total: int, description: str, unit: str = "it", **options: Any) -> tqdm:
    """A progress bar with the time left: on a terminal only, gone when it is done."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        leave=False,
        dynamic_ncols=True,
        **options,
    )


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and end the process: what the user can mend is one line, exit code 1."""
    try:
        code = main()
    except InputError as error:
        code = _fail(str(error))
    except OSError as error:
        where = f"{os.fspath(error.filename)}: " if error.filename else ""
        code = _fail(f"{where}{why(error)}")
    except MemoryError:
        code = _fail("not enough memory: close other programs or lower the batch size")
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return 1
