"""Write a page that classifies pictures in the browser with the best model, offline."""

import argparse
from pathlib import Path

from fashion_mnist.checking import params
from fashion_mnist.commands import models
from fashion_mnist.errors import InputError
from fashion_mnist.pictures import garments
from fashion_mnist.storage import files, outs
from fashion_mnist.talk import console, results

EXAMPLE = "python -m fashion_mnist demo"
PAGE = Path("plots/demo.html")
EXAMPLES = {  # for Fashion-MNIST
    Path("tests/pictures/19-plain.png"): "T-shirt with a print",
    Path("tests/pictures/2-plain.png"): "Trousers",
    Path("tests/pictures/11-plain.png"): "Sandal",
    Path("tests/pictures/0-plain.png"): "Ankle boot",
    Path("tests/pictures/23-plain.png"): "Open ankle boot",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_arguments: argparse.Namespace) -> None:
    """Write the page; its runtime is downloaded once.

    Raises:
        InputError: the model cannot be used or converted, or the runtime cannot be downloaded.
        OSError: a file cannot be read, or the page cannot be written.
    """
    # Keras takes seconds to load.
    from fashion_mnist.demo import page, runtime

    data_set, _kind = models.data_set()
    model, _difference, kind = models.as_onnx(outs.BEST_MODEL)
    made = (garments.EDGE, garments.EDGE, 1)
    if data_set.prepare == "product" and kind.image_shape != made:
        raise InputError(
            f"{outs.BEST_MODEL} takes images {kind.image_shape}, "
            f"and `prepare: product` makes {made}"
        )
    name, examples = params.load().dataset, {}
    if name == results.ORIGINALS_DATA:
        name, examples = "Fashion-MNIST", EXAMPLES
    html = page.render(model, kind, name, data_set, runtime.get(), examples).encode()
    files.write(PAGE, html)
    console.say(f"wrote {PAGE}, {len(html) / 1e6:.1f} MB: open it in any browser")
