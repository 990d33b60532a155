"""Fetch and verify the data set, from the first source that has it."""

from functools import partial
from pathlib import Path

from fashion_mnist.checking import datasets, guard, params
from fashion_mnist.ingest import schema, sources
from fashion_mnist.talk import console

RAW = Path("data/raw")


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.fetch")
    datasets.load(params.load().dataset)
    with guard.unchanged(schema.read):
        bar = partial(console.progress, unit="B", unit_scale=True)
        sources.fetch(schema.read(), RAW, console.say, progress=bar)
    console.say(f"wrote {RAW}/")


if __name__ == "__main__":
    console.run(main)
