"""What a stage's result comes from, and that it stays the same while the stage runs."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from fashion_mnist import files, params
from fashion_mnist.errors import InputError

ROOT = Path(__file__).parent.parent
LIBRARIES = ("h5py", "keras", "numpy", "scikit-learn")  # and the one that computes

Selected = TypeVar("Selected")


@contextmanager
def held(select: Callable[[params.Params], Selected]) -> Iterator[Selected]:
    """What `select` takes from params.yaml; at the end, that it would still take the same.

    DVC notes what params.yaml and the code say when a stage has ended. Without this, what
    was edited meanwhile would pass for what the result was made with.

    Raises:
        InputError: params.yaml is not usable; or it, or code that the stage has loaded, was
            edited in the meantime.
    """
    code = _code()
    selected = select(params.load())
    yield selected
    if select(params.load()) != selected:
        raise InputError("params.yaml was edited while this stage ran: run it again")
    now = _code()
    for path in _loaded():
        if now.get(path) != code.get(path):
            raise InputError(f"{path} was edited while this stage ran: run it again")


def fingerprint(selected: object, data: Path, backend: str) -> bytes:
    """SHA-256 of all that a result comes from: parameters, data, loaded code, libraries."""
    code = _code()
    parts = [
        repr(selected),
        files.sha256(data),
        *(f"{path} {code.get(path)}" for path in _loaded()),
        *(f"{library} {version(library)}" for library in (*LIBRARIES, backend)),
    ]
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _code() -> dict[str, str]:
    """The SHA-256 of each file of code, by its path from the project's folder."""
    return {
        path.relative_to(ROOT).as_posix(): files.sha256(path)
        for folder in ("fashion_mnist", "stages")
        for path in (ROOT / folder).glob("*.py")
    }


def _loaded() -> list[str]:
    """The files of the project's code that this process has loaded."""
    loaded = [getattr(module, "__file__", None) for module in sys.modules.copy().values()]
    paths = [Path(file).resolve() for file in loaded if file]
    return sorted(
        {path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT)}
    )
