"""Get the four IDX files of Fashion-MNIST from the first source that has them, verified."""

import argparse
import sys
from pathlib import Path

from fashion_mnist import console, params, sources

RAW = Path("data/raw")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.fetch"
    ).parse_args()
    wanted = params.load().fetch
    sources.fetch(wanted.sources, wanted.files, RAW, console.say, progress=sys.stderr.isatty())
    console.say(f"wrote {', '.join(wanted.files)} to {RAW}")


if __name__ == "__main__":
    console.run(main)
