"""The model that a command uses: a file, or one that is in git, by name."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def add_range(parser: argparse.ArgumentParser) -> None:
    """Declare --range."""
    parser.add_argument(
        "--range",
        metavar="BLACK...WHITE",
        help="the numbers that the model was trained on, such as -1...1, 0...255 or standardized "
        "(default: told from its layers, else 0...1)",
    )
    parse = parser.parse_known_args

    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        return parse(_with_joined_range(sys.argv[1:] if args is None else args), namespace)

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


def _with_joined_range(arguments: Sequence[str]) -> list[str]:
    """`--range -1...1` as `--range=-1...1`, because -1...1 looks like an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--range":
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


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


def load(path: Path, kind: Kind | None, image_range: str | None = None) -> "loading.Loaded":
    """The model in a file; what the user should know about it is printed.

    Args:
        path: of the file.
        kind: of the images that a file without class names is for; None if that is not known.
        image_range: what the user gave for --range.

    Raises:
        InputError: the model cannot be used, or there is no such range.
        OSError: the file cannot be read.
    """
    if path in (outs.BEST_MODEL, *NAMES.values()) and not path.exists():
        project.require()
    # Keras takes seconds to load.
    from fashion_mnist.model_files import loading, ranges
    from fashion_mnist.storage import dataset

    images = None
    if image_range == ranges.STANDARDIZED:
        images = ranges.standardized(dataset.read(outs.TEST).images)
    elif image_range is not None:
        images = ranges.parse(image_range)
    loaded = loading.load(path, kind, images)
    console.note(path, loaded.notes)
    return loaded


def as_onnx(path: Path, image_range: str | None = None) -> tuple[bytes, float, Kind]:
    """The same model as an ONNX file, its largest difference from Keras, and its images' kind.

    Args:
        path: the file.
        image_range: what the user gave for --range.

    Raises:
        InputError: the model cannot be used or converted, or there is no such range.
        OSError: the file cannot be read.
    """
    from fashion_mnist.exporting import onnx

    onnx.require_tensorflow()
    _, kind = data_set()
    loaded = load(path, kind, image_range)
    try:
        return *onnx.to_onnx(loaded.model, loaded.kind.classes), loaded.kind
    except InputError as error:
        raise InputError(f"{path} {error}") from None
