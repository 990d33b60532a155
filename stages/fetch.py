"""Fetch and verify the four Fashion-MNIST IDX files, from the first source that has them."""

from functools import partial
from pathlib import Path

from fashion_mnist.checking import guard, params
from fashion_mnist.ingest import sources
from fashion_mnist.ingest.schema import Fetch
from fashion_mnist.storage import parameters
from fashion_mnist.talk import console

RAW = Path("data/raw")


def read() -> Fetch:
    """Where the files are, and what they must be."""
    return Fetch.model_validate(parameters.read()["fetch"])


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.fetch")
    params.load()
    with guard.unchanged(read):
        wanted = read()
        bar = partial(console.progress, unit="B", unit_scale=True)
        sources.fetch(wanted, RAW, console.say, progress=bar)
    console.say(f"wrote {', '.join(wanted.files)} to {RAW}")


if __name__ == "__main__":
    console.run(main)
