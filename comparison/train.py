"""Train one model of the comparison on all training images, and measure the time."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from comparison.rows import jobs
from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.storage import outs, records
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.learning.training import Trained

TRAIN = Path("..") / outs.TRAIN
MODELS = Path("models")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.train five-conv-1"
    )
    parser.add_argument("name", help="one of the models in params.yaml")
    name = parser.parse_args().name
    params.check(name)
    with guard.unchanged(lambda: jobs.read(name, TRAIN)):
        trained = train(name, jobs.read(name, TRAIN))
    trained.checkpoint.remove()  # only now: after an edit, the next run continues from it


def train(name: str, job: jobs.Job) -> "Trained":
    """Train the model and write the stage's outs."""
    # Only now, because Keras takes seconds to load and params.yaml is known to be good.
    from fashion_mnist.checking import trial
    from fashion_mnist.learning import backend, saving, training
    from fashion_mnist.learning.batches import Examples
    from fashion_mnist.storage import dataset
    from fashion_mnist.talk.training_log import TrainingLog

    backend.make_reproducible(job.threads, parts=job.threads)
    trial.check(job)
    data = dataset.read(TRAIN)
    images = Examples(data.images, data.labels)
    with trial.in_words(job), TrainingLog(name, job) as log:
        trained = training.train(name, job, images, None, log)
    saving.save(trained.network, MODELS / f"{name}.h5", job.kind.classes)
    seconds = None if trained.seconds is None else round(trained.seconds, 1)
    records.write_json(jobs.TIMES / f"{name}.json", {"seconds": seconds})
    console.say(f"wrote {MODELS}/{name}.h5 and {jobs.TIMES}/{name}.json")
    return trained


if __name__ == "__main__":
    console.run(main)
