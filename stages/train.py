"""Train one model: candidate model-K on split K, or the baseline on split 1."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fashion_mnist.candidates import jobs
from fashion_mnist.checking import guard, params
from fashion_mnist.storage import outs, records
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.learning.training import Trained


def model_name(text: str) -> str:
    """`baseline`, or `model-` and the number of a split."""
    if text != outs.BASELINE and not outs.split_of(text):
        raise argparse.ArgumentTypeError("must be baseline, model-1, model-2, ...")
    return text


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.train model-1"
    )
    parser.add_argument("name", type=model_name, help="baseline, model-1, model-2, ...")
    name = parser.parse_args().name
    params.load()
    with guard.unchanged(lambda: jobs.read(name)):
        trained = train(name, *jobs.read(name))
    trained.checkpoint.remove()  # only now: after an edit, the next run continues from it


def train(name: str, job: jobs.Job, split: jobs.Split) -> "Trained":
    """Train the model and write the stage's outs."""
    # Only now, because Keras takes seconds to load and params.yaml is known to be good.
    from fashion_mnist.candidates import splits
    from fashion_mnist.checking import trial
    from fashion_mnist.learning import backend, saving, state, training
    from fashion_mnist.learning.batches import Examples
    from fashion_mnist.storage import dataset
    from fashion_mnist.talk.training_log import TrainingLog

    backend.make_reproducible(job.threads, parts=job.threads)
    trial.check(job)
    data = dataset.read(outs.TRAIN)
    taught, validation = (
        Examples(data.images[indices], data.labels[indices])
        for indices in splits.split(data.labels, outs.split_of(name) or 1, **split.model_dump())
    )
    del data
    files = outs.files(name)

    def record(history: Sequence[state.Epoch]) -> None:
        records.write_csv(files.history, map(asdict, history))

    with trial.in_words(job), TrainingLog(name, job) as log:
        trained = training.train(name, job, taught, validation, log, record)
    kept = state.kept(trained.history, job.recipe)
    saving.save(trained.network, files.model, job.kind.classes)
    records.write_json(
        files.metrics,
        {
            "train": {"loss": kept.loss, "accuracy": kept.accuracy},
            "validation": {"loss": kept.val_loss, "accuracy": kept.val_accuracy},
            "epochs": kept.epoch,
            "parameters": trained.network.count_params(),
        },
    )
    console.say(f"wrote {files.model}, {files.metrics} and {files.history}")
    return trained


if __name__ == "__main__":
    console.run(main)
