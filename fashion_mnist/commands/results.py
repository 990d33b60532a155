"""Print the last run's results beside the original's."""

import argparse

from fashion_mnist.reporting import summary
from fashion_mnist.talk import console

EXAMPLE = "python -m fashion_mnist results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_: argparse.Namespace) -> None:
    """Print the table and the final scores.

    Raises:
        InputError: a result is missing or damaged.
    """
    console.say(summary.text())
