"""Get the four IDX files of Fashion-MNIST from the first source that has them, verified."""

import argparse
from pathlib import Path

from fashion_mnist import console, inputs, sources

RAW = Path("data/raw")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.fetch"
    ).parse_args()
    with inputs.held(lambda config: config.fetch) as wanted:
        sources.fetch(wanted.sources, wanted.files, RAW, console.say)
    console.say(f"wrote {', '.join(wanted.files)} to {RAW}")


if __name__ == "__main__":
    console.run(main)
