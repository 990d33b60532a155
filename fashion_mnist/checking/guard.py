"""A check that nothing is edited that a stage depends on while the stage runs."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_mnist.checking import versions
from fashion_mnist.errors import InputError
from fashion_mnist.storage import files, parameters

PIPELINE = "dvc.yaml"
VERSIONS = Path(__file__).parents[2] / "versions.yaml"


@contextmanager
def unchanged(read: Callable[[], object]) -> Iterator[None]:
    """Check at the end that neither code nor what `read` gives was edited in the meantime.

    DVC records parameters and code when a stage has ended. An edit made while the stage ran
    would be recorded as if it had produced the result; so would other versions of the libraries
    than those in `versions.yaml`.

    Raises:
        InputError: the parameters, or code that the stage has loaded, were edited; or another
            version of a library is installed.
    """
    _check_versions()
    code, values = _code(), read()
    yield
    if read() != values:
        raise InputError("params.yaml was edited while this stage ran: run it again")
    edited = _code()
    for path in _loaded():
        if path in code and edited.get(path) != code[path]:
            name = os.path.relpath(path)
            raise InputError(f"{name} was edited while this stage ran: run it again")


def _check_versions() -> None:
    for section in parameters.read(VERSIONS).values():
        for library, pin in section.items():
            installed = versions.installed(library)
            if installed not in (None, pin):
                raise InputError(
                    f"{library} {installed} is installed, and versions.yaml names {pin}: "
                    "run `make install`, or name the version that you want to compute with"
                )


def _code() -> dict[Path, str]:
    """The SHA-256 of each file of code that a stage of this pipeline depends on."""
    stages = parameters.read(PIPELINE)["stages"].values()
    deps = {Path(dep) for stage in stages for dep in stage.get("do", stage).get("deps", [])}
    return {
        path.resolve(): files.sha256(path)
        for dep in deps
        for path in (dep.rglob("*.py") if dep.is_dir() else [dep] * (dep.suffix == ".py"))
        if path.is_file()  # not an editor's lock, a link to nowhere
    }


def _loaded() -> set[Path]:
    """The files of code that this process has loaded."""
    loaded = [getattr(module, "__file__", None) for module in sys.modules.copy().values()]
    return {Path(file).resolve() for file in loaded if file}
