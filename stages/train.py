"""Train one model: candidate model-K on split K, or the baseline on split 1."""

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_mnist.learning.schema import Job, Split
from fashion_mnist.running import console, params, provenance
from fashion_mnist.storage import candidates, records

if TYPE_CHECKING:
    from fashion_mnist.jobs import Trained

TRAIN = Path("data/processed/train.npz")


def model_name(text: str) -> str:
    """`baseline`, or `model-` and the number of a split."""
    if not re.fullmatch(r"baseline|model-[1-9]\d*", text):
        raise argparse.ArgumentTypeError("must be baseline, model-1, model-2, ...")
    return text


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.train model-1"
    )
    parser.add_argument("name", type=model_name, help="baseline, model-1, model-2, ...")
    name = parser.parse_args().name

    def read() -> tuple[Job, Split]:
        config = params.load()
        chosen = config.baseline if name == "baseline" else config.train
        return config.job(chosen), config.split

    with provenance.unchanged(read) as (job, split):
        trained = train(name, job, split)
    trained.checkpoint.remove()  # only now: after an edit, the next run continues from it


def train(name: str, job: Job, split: Split) -> "Trained":
    """Train the model and write the stage's outs."""
    # Only now, because Keras takes seconds to load and params.yaml is known to be good.
    from fashion_mnist import jobs
    from fashion_mnist.learning import dataset, saving, splits, state
    from fashion_mnist.learning.batches import Examples

    jobs.prepare(job)
    images, labels = dataset.read(TRAIN)
    number = 1 if name == "baseline" else int(name.removeprefix("model-"))
    training, validation = (
        Examples(images[indices], labels[indices])
        for indices in splits.split(labels, number, **split.model_dump())
    )
    del images
    trained = jobs.run(name, job, TRAIN, training, validation, split)
    network, history = trained.network, trained.history
    kept = state.kept(history, job.recipe)
    scores = {
        "train": {"loss": kept.loss, "accuracy": kept.accuracy},
        "validation": {"loss": kept.val_loss, "accuracy": kept.val_accuracy},
        "epochs": kept.epoch,
        "parameters": network.count_params(),
    }
    files = candidates.files(name)
    saving.save(network, files.model)
    records.write_json(files.metrics, scores)
    records.write_csv(files.history, map(asdict, history))
    console.say(f"wrote {files.model}, {files.metrics} and {files.history}")
    return trained


if __name__ == "__main__":
    console.run(main)
