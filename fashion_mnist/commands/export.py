"""Write a model as an ONNX file, which programs in any language run, and check it against Keras."""

import argparse
from pathlib import Path

from fashion_mnist.commands.predict import BEST
from fashion_mnist.errors import InputError
from fashion_mnist.running import console
from fashion_mnist.storage import files

EXAMPLE = "python -m fashion_mnist export --out shirts.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and the file to write."""
    parser.add_argument(
        "--model",
        type=Path,
        default=BEST,
        metavar="FILE",
        help="another Keras model, .h5 or .keras (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.onnx",
        help="the file to write (default: the model's name with .onnx)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the file, unless it gives other probabilities than Keras.

    Raises:
        InputError: the model cannot be used or converted, or the file's name is not ONNX's.
        OSError: the model cannot be read, or the file cannot be written.
    """
    model: Path = arguments.model
    out: Path = arguments.out or model.with_suffix(".onnx")
    if out.suffix.lower() != ".onnx":
        raise InputError(f"--out {out}: the file is ONNX: choose a name that ends in .onnx")
    # Keras takes seconds to load.
    from fashion_mnist import exporting
    from fashion_mnist.model_files import loading

    loaded = loading.load(model)
    console.note(model, loaded.notes)
    try:
        data, difference = exporting.to_onnx(loaded.model)
    except InputError as error:
        raise InputError(f"{model} {error}") from None
    files.write(out, data)
    console.say(
        f"wrote {out}: {len(data):,} bytes, at most {difference:.1g} from Keras's probabilities "
        f"on {exporting.CHECKED} images"
    )
