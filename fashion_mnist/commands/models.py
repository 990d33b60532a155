"""The model that a command uses: a file, or one that is in git, by name."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_mnist.checking import datasets, params
from fashion_mnist.commands import project
from fashion_mnist.errors import InputError
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.storage import outs
from fashion_mnist.storage.dataset import Kind
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.model_files import loading

NAMES = {"best-of-comparison": Path("comparison/best_model.h5")}
HELP = f"a Keras .h5 or .keras file, or {', '.join(NAMES)} for the best network of the comparison"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare --model."""
    parser.add_argument(
        "--model",
        type=model_file,
        default=outs.BEST_MODEL,
        metavar="FILE",
        help=f"{HELP} (default: %(default)s)",
    )


def model_file(text: str) -> Path:
    """The file of a model that is given by its path or by its name."""
    return NAMES.get(text, Path(text))


def data_set() -> tuple[DataSet, Kind | None]:
    """The data set that `params.yaml` names, and what its images are, if that is known.

    Raises:
        InputError: one of the two files has a mistake.
    """
    name = params.load().dataset
    found = datasets.load(name)
    return found, datasets.kind(name, found)


def load(path: Path, kind: Kind | None) -> "loading.Loaded":
    """The model in a file; what the user should know about it is printed.

    Args:
        path: of the file.
        kind: of the images that a file without class names is for; None if that is not known.

    Raises:
        InputError: the model cannot be used.
        OSError: the file cannot be read.
    """
    if path in (outs.BEST_MODEL, *NAMES.values()) and not path.exists():
        project.require()
    # Keras takes seconds to load.
    from fashion_mnist.model_files import loading

    loaded = loading.load(path, kind)
    console.note(path, loaded.notes)
    return loaded


def as_onnx(path: Path) -> tuple[bytes, float, Kind]:
    """The same model as an ONNX file, its largest difference from Keras, and its images' kind.

    Raises:
        InputError: the model cannot be used or converted.
        OSError: the file cannot be read.
    """
    from fashion_mnist.exporting import onnx

    onnx.require_tensorflow()
    _, kind = data_set()
    loaded = load(path, kind)
    try:
        return *onnx.to_onnx(loaded.model, loaded.kind.classes), loaded.kind
    except InputError as error:
        raise InputError(f"{path} {error}") from None
