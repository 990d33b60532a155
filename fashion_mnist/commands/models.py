"""The model that a command uses: a file, or one that is in git, by name."""

import argparse
from pathlib import Path

BEST = Path("models/best_model.h5")
NAMES = {"best-of-comparison": Path("comparison/best_model.h5")}
HELP = f"a Keras .h5 or .keras file, or {', '.join(NAMES)} for the most accurate network in git"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare --model."""
    parser.add_argument(
        "--model",
        type=model_file,
        default=BEST,
        metavar="FILE",
        help=f"{HELP} (default: %(default)s)",
    )


def model_file(text: str) -> Path:
    """The file of a model that is given by its path or by its name."""
    return NAMES.get(text, Path(text))
