"""Fetch and verify the four Fashion-MNIST IDX files, from the first source that has them."""

import argparse
from functools import partial
from pathlib import Path

from fashion_mnist.ingest import sources
from fashion_mnist.running import console, params, provenance

RAW = Path("data/raw")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.fetch"
    ).parse_args()
    with provenance.unchanged(lambda: params.load().fetch) as wanted:
        bar = partial(console.progress, unit="B", unit_scale=True)
        sources.fetch(wanted, RAW, console.say, progress=bar)
    console.say(f"wrote {', '.join(wanted.files)} to {RAW}")


if __name__ == "__main__":
    console.run(main)
