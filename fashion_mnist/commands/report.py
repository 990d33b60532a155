"""Write the last run's results as one HTML file, which works offline and can be emailed."""

import argparse
from pathlib import Path

from fashion_mnist.reporting import report
from fashion_mnist.storage import files
from fashion_mnist.talk import console

EXAMPLE = "python -m fashion_mnist report"
REPORT = Path("plots/report.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_: argparse.Namespace) -> None:
    """Write the page.

    Raises:
        InputError: a result is missing or damaged.
    """
    files.write(REPORT, report.render(report.contents()).encode())
    console.say(f"wrote {REPORT}: open it in any browser")
