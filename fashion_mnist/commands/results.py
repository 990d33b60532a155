"""Print the last run's results beside the original's."""

import argparse

from fashion_mnist.checking import params
from fashion_mnist.storage import outs, records
from fashion_mnist.talk import console, results

EXAMPLE = "python -m fashion_mnist results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_: argparse.Namespace) -> None:
    """Print the table and the final scores.

    Raises:
        InputError: a result is missing or damaged.
    """
    config = params.load()
    names = [outs.BASELINE, *outs.candidates(config.train.splits)]
    validation = {name: records.read_json(outs.files(name).metrics)["validation"] for name in names}
    best = records.read_json(outs.SELECTION)["best"]
    console.say(results.table(validation, best, config.dataset))
    console.say(results.final_scores(records.read_json(outs.TEST_SCORES), config.dataset))
