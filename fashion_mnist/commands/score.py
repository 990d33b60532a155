"""Score a Keras model, in a .h5 or .keras file of Keras 2 or 3, on the test set."""

import argparse

from fashion_mnist.commands import models, project
from fashion_mnist.talk import console, results

EXAMPLE = "python -m fashion_mnist score models/baseline.h5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument("model", type=models.model_file, metavar="MODEL", help=models.HELP)


def run(arguments: argparse.Namespace) -> None:
    """Print the scores; nothing is written.

    Raises:
        InputError: the file is not a model for these images, or the test set is missing.
    """
    project.require()
    # Keras takes seconds to load.
    from fashion_mnist.learning import prediction
    from fashion_mnist.model_files import adapting
    from fashion_mnist.scoring import scores
    from fashion_mnist.storage import dataset, outs, parameters

    data = dataset.read(outs.TEST)
    loaded = models.load(arguments.model, data.kind)
    adapting.check_kind(arguments.model, loaded.kind, data.kind)
    found = scores.scores(prediction.predict(loaded.model, data.images), data.labels)
    title = arguments.model.name[: results.WIDTH]
    console.say(results.final_scores(found, parameters.read()["dataset"], title))
