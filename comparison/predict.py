"""Predict the test images with one model: as they are, and as the mean over six views."""

import argparse
from pathlib import Path

import numpy as np

from comparison.predicted import predictions, six_views
from comparison.rows import jobs
from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.storage import dataset, outs
from fashion_mnist.talk import console

TEST = Path("..") / outs.TEST


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.predict five-conv-1"
    )
    parser.add_argument("name", help="one of the models in params.yaml")
    name = parser.parse_args().name
    params.check(name)
    with guard.unchanged(lambda: jobs.read(name, TEST)):
        predict(name, jobs.read(name, TEST))


def predict(name: str, job: jobs.Job) -> None:
    """Write the model's class probabilities, and their mean over the views."""
    # Keras takes seconds to load.
    from fashion_mnist.learning import backend, networks, prediction, saving

    backend.make_reproducible(job.threads)
    images, labels, _ = dataset.read(TEST)
    network = networks.build(job.layers, job.kind)
    saving.load_weights(network, Path("models", f"{name}.h5"))
    predictions.write(name, prediction.predict(network, images), labels)
    by_view = [prediction.predict(network, seen) for seen in six_views.of(images)]
    of_views = six_views.name_of_mean(name)
    predictions.write(of_views, np.mean(by_view, axis=0), labels)
    console.say(f"wrote {name}.npz and {of_views}.npz to {predictions.FOLDER}")


if __name__ == "__main__":
    console.run(main)
