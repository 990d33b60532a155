"""Copy the model named by `best` to its path in git."""

import argparse
from pathlib import Path

from comparison import params
from fashion_mnist.running import console, provenance
from fashion_mnist.storage import files

BEST = Path("best_model.h5")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.publish"
    ).parse_args()
    with provenance.unchanged(lambda: params.load().best) as best:
        files.write(BEST, Path("models", f"{best}.h5").read_bytes())
        console.say(f"wrote {BEST}, which is {best}")


if __name__ == "__main__":
    console.run(main)
