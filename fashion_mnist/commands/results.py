"""Print the last run's results beside the original's."""

import argparse

from fashion_mnist.reporting import results
from fashion_mnist.running import console, params
from fashion_mnist.storage import candidates, records

EXAMPLE = "python -m fashion_mnist results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_: argparse.Namespace) -> None:
    """Print the table and the final scores.

    Raises:
        InputError: a result is missing or damaged.
    """
    names = [candidates.BASELINE, *candidates.names(params.load().train.splits)]
    validation = {
        name: records.read_json(candidates.files(name).metrics)["validation"] for name in names
    }
    best = records.read_json("metrics/selection.json")["best"]
    console.say(results.table(validation, best))
    console.say(results.final_scores(records.read_json("metrics/test.json")))
