"""The model that a command uses: a file, or one that is in git, by name."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_mnist.errors import InputError
from fashion_mnist.storage import outs
from fashion_mnist.talk import console

if TYPE_CHECKING:
    import keras

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


def load(path: Path) -> "keras.Model":
    """The model in a file; what the user should know about it is printed.

    Raises:
        InputError: the model cannot be used.
        OSError: the file cannot be read.
    """
    # Keras takes seconds to load.
    from fashion_mnist.model_files import loading

    loaded = loading.load(path)
    console.note(path, loaded.notes)
    return loaded.model


def as_onnx(path: Path) -> tuple[bytes, float]:
    """The same model as an ONNX file, and its largest difference from Keras in any probability.

    Raises:
        InputError: the model cannot be used or converted.
        OSError: the file cannot be read.
    """
    from fashion_mnist.exporting import onnx

    onnx.require_tensorflow()
    model = load(path)
    try:
        return onnx.to_onnx(model)
    except InputError as error:
        raise InputError(f"{path} {error}") from None
