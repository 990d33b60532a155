"""Score a Keras model, in a .h5 or .keras file of Keras 2 or 3, on the test set."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fashion_mnist.commands import models, project
from fashion_mnist.talk import console, results

if TYPE_CHECKING:
    from fashion_mnist.model_files.loading import Loaded

TRIED = 1000  # images, in each usual range
MARGIN = 0.02  # of accuracy: on so many images, less may be chance
EXAMPLE = "python -m fashion_mnist score models/baseline.h5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument("model", type=models.model_file, metavar="MODEL", help=models.HELP)
    models.add_range(parser)


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
    loaded = models.load(arguments.model, data.kind, arguments.range)
    adapting.check_kind(arguments.model, loaded.kind, data.kind)
    found = scores.scores(prediction.predict(loaded.model, data.images), data.labels)
    title = console.printable(arguments.model.name)
    console.say(results.final_scores(found, parameters.read()["dataset"], title))
    if arguments.range is None:
        hints = better_range(loaded, data.images[:TRIED], data.labels[:TRIED])
        console.note(arguments.model, hints)


def better_range(loaded: "Loaded", images: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    """A sentence about the range in which the model's images should be, if it is another one.

    Args:
        loaded: the model.
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: integers (N,).
    """
    from fashion_mnist.model_files import ranges

    tried = ranges.accuracies(loaded.model, loaded.images, images, labels)
    best = max(tried, key=lambda name: tried[name])
    now = tried[str(loaded.images)]
    if tried[best] > max(now + MARGIN, 1 / 2):
        yield (
            f"it was probably trained on images in {best}: {tried[best]:.1%} of the first "
            f"{len(images):,} are right, and {now:.1%} in {loaded.images}: add --range {best}"
        )
