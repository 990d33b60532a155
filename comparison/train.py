"""Train one model of the comparison on all training images; keep its test predictions."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from comparison import params, predictions
from fashion_mnist.learning.schema import Job
from fashion_mnist.running import console, provenance
from fashion_mnist.storage import records

if TYPE_CHECKING:
    from fashion_mnist.jobs import Trained

DATA = Path("../data/processed")
MODELS = Path("models")
TIMES = Path("times")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.train five-conv-1"
    )
    parser.add_argument("name", help="one of the models in params.yaml")
    name = parser.parse_args().name
    with provenance.unchanged(lambda: params.load().job(name)) as job:
        trained = train(name, job)
    trained.checkpoint.remove()  # only now: after an edit, the next run continues from it


def train(name: str, job: Job) -> "Trained":
    """Train the model and write the stage's outs."""
    # Only now, because Keras takes seconds to load and params.yaml is known to be good.
    from fashion_mnist import jobs
    from fashion_mnist.learning import dataset, prediction, saving
    from fashion_mnist.learning.batches import Examples

    jobs.prepare(job)
    training = Examples(*dataset.read(DATA / "train.npz"))
    trained = jobs.run(name, job, DATA / "train.npz", training)
    images, labels = dataset.read(DATA / "test.npz")
    saving.save(trained.network, MODELS / f"{name}.h5")
    predictions.write(name, prediction.predict(trained.network, images), labels)
    seconds = None if trained.seconds is None else round(trained.seconds, 1)
    records.write_json(TIMES / f"{name}.json", {"seconds": seconds})
    console.say(f"wrote {MODELS}/{name}.h5, {predictions.FOLDER}/{name}.npz, {TIMES}/{name}.json")
    return trained


if __name__ == "__main__":
    console.run(main)
