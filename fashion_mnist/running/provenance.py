"""What a stage's result depends on, and a check that it does not change while the stage runs."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from fashion_mnist.errors import InputError
from fashion_mnist.storage import files

ROOT = Path(__file__).resolve().parents[2]
CODE = ("fashion_mnist", "stages", "comparison")
LIBRARIES = ("h5py", "keras", "numpy", "scikit-learn")  # the backend's version is a setting

# Code that cannot change any stage's outs, so no stage lists it as a dep. Folders end in /.
SILENT = {
    "fashion_mnist/__init__.py": "empty",
    "fashion_mnist/checks.py": "finds mistakes; a job without one is left alone",
    "fashion_mnist/errors.py": "words what the user can fix",
    "fashion_mnist/layers.py": "names to check what a user wrote",
    "fashion_mnist/quiet.py": "hides what libraries print",
    "fashion_mnist/reporting/__init__.py": "empty",
    "fashion_mnist/reporting/results.py": "prints the results table",
    "fashion_mnist/reporting/training_log.py": "prints how far a training is",
    "fashion_mnist/reporting/words.py": "describes networks and recipes",
    "fashion_mnist/running/": "talks to the user, and reads values that are deps themselves",
}

Selected = TypeVar("Selected")


@contextmanager
def unchanged(read: Callable[[], Selected]) -> Iterator[Selected]:
    """Yield what `read` selects from the parameters; check at the end that nothing was edited.

    DVC records parameters and code when a stage has ended. An edit made while the stage ran
    would be recorded as if it had produced the result.

    Raises:
        InputError: the parameters are not usable; or they, or code that the stage has loaded,
            were edited in the meantime.
    """
    before = _code()
    selected = read()
    yield selected
    if read() != selected:
        raise InputError("params.yaml was edited while this stage ran: run it again")
    after = _code()
    for path in _loaded():
        if after.get(path) != before.get(path):
            raise InputError(f"{path} was edited while this stage ran: run it again")


def fingerprint(selected: object, data: Path) -> bytes:
    """SHA-256 of all that a result depends on: parameters, data, code, libraries.

    Args:
        selected: parameters and settings.
        data: the file that is read.
    """
    code = _code()
    parts = [
        repr(selected),
        files.sha256(data),
        *(f"{path} {code.get(path)}" for path in _loaded()),
        *(f"{library} {version(library)}" for library in LIBRARIES),
    ]
    return hashlib.sha256("\n".join(parts).encode()).digest()


def is_silent(path: str) -> bool:
    """Whether no out depends on this file, given relative to the project's folder."""
    return any(path.startswith(p) if p.endswith("/") else path == p for p in SILENT)


def _code() -> dict[str, str]:
    """The SHA-256 of each file of code, by its path relative to the project's folder."""
    return {
        path.relative_to(ROOT).as_posix(): files.sha256(path)
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        if path.is_file()  # not an editor's lock, a link to nowhere
    }


def _loaded() -> list[str]:
    """The files of code that this process has loaded and that can change an out."""
    loaded = [getattr(module, "__file__", None) for module in sys.modules.copy().values()]
    paths = {Path(file).resolve() for file in loaded if file}
    names = [path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT)]
    return sorted(name for name in names if name.split("/")[0] in CODE and not is_silent(name))
