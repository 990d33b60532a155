"""Write a model as an ONNX file, for programs in any language, and check it against Keras."""

import argparse
from pathlib import Path

from fashion_mnist.commands import models
from fashion_mnist.errors import InputError
from fashion_mnist.storage import files
from fashion_mnist.talk import console

EXAMPLE = "python -m fashion_mnist export --out shirts.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and the file to write."""
    models.add_option(parser)
    models.add_range(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.onnx",
        help="the file to write (default: the model's name with .onnx)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the file, unless its probabilities differ from Keras's.

    Raises:
        InputError: the model cannot be used or converted, or the file's name is not *.onnx.
        OSError: the model cannot be read, or the file cannot be written.
    """
    model: Path = arguments.model
    if not model.name:  # as of "", when a shell's variable is empty
        raise InputError(f"--model {model}: is a folder: name a .h5 or .keras file")
    out: Path = arguments.out or model.with_suffix(".onnx")
    if out.suffix.lower() != ".onnx":
        raise InputError(f"--out {out}: the file is ONNX: choose a name that ends in .onnx")
    from fashion_mnist.exporting import onnx  # only now, because Keras takes seconds to load

    data, difference, _ = models.as_onnx(model, arguments.range)
    files.write(out, data)
    console.say(
        f"wrote {out}: {len(data):,} bytes; its probabilities are within {difference:.1g} "
        f"of Keras's on {onnx.CHECKED} images"
    )
