"""The project's folder, in which every path of a command begins."""

from pathlib import Path

from fashion_mnist.errors import InputError
from fashion_mnist.storage import parameters

STAGES = Path("stages")  # the comparison's folder has parameters too


def require() -> None:
    """Raise InputError if this is another folder."""
    for path in (parameters.PARAMS, STAGES):
        if not path.exists():
            raise InputError(f"{path} is missing: run this from the project's folder")
