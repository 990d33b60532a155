"""Write a page that classifies pictures in the browser with the best model, offline."""

import argparse
from pathlib import Path

from fashion_mnist.commands import pictures
from fashion_mnist.commands.models import BEST
from fashion_mnist.errors import InputError
from fashion_mnist.running import console
from fashion_mnist.storage import files

EXAMPLE = "python -m fashion_mnist demo"
PAGE = Path("plots/demo.html")
EXAMPLES = {
    Path("docs/shirt.png"): "T-shirt",
    Path("tests/pictures/2-plain.png"): "Trousers",
    Path("tests/pictures/19-plain.png"): "T-shirt with a print",
    Path("tests/pictures/11-plain.png"): "Sandal",
    Path("tests/pictures/0-plain.png"): "Ankle boot",
    Path("tests/pictures/23-plain.png"): "Open ankle boot",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace) -> None:
    """Write the page; its runtime is downloaded once.

    Raises:
        InputError: the model cannot be used or converted, or the runtime cannot be downloaded.
        OSError: a file cannot be read, or the page cannot be written.
    """
    # Keras takes seconds to load.
    from fashion_mnist import exporting
    from fashion_mnist.demo import page, runtime
    from fashion_mnist.model_files import loading

    loaded = loading.load(BEST)
    console.note(BEST, loaded.notes)
    try:
        model, _difference = exporting.to_onnx(loaded.model)
    except InputError as error:
        raise InputError(f"{BEST} {error}") from None
    html = page.render(model, runtime.get(), pictures, EXAMPLES).encode()
    files.write(PAGE, html)
    console.say(f"wrote {PAGE}, {len(html) / 1e6:.1f} MB: open it in any browser")
