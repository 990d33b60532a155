"""Train one model: candidate model-K on split K, or the baseline on split 1."""

import argparse
import re
from dataclasses import asdict
from pathlib import Path

from fashion_mnist import candidates, console, dataset, inputs, params, records

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

    def wanted(config: params.Params) -> tuple[params.Task, params.Split]:
        chosen = config.baseline if name == "baseline" else config.train
        return config.task(chosen, config.train.seed, config.train.threads), config.split

    with inputs.held(wanted) as (task, split):
        train(name, task, split)


def train(name: str, task: params.Task, split: params.Split) -> None:
    """Train the model and write all that the stage gives."""
    # Only now: they take seconds to load, and params.yaml is known to be good.
    from fashion_mnist import models, splits, trainer
    from fashion_mnist.training import Epoch, Examples

    model = trainer.build(task)
    images, labels = dataset.read(TRAIN)
    number = 1 if name == "baseline" else int(name.removeprefix("model-"))
    training_set, validation_set = (
        Examples(images[indices], labels[indices])
        for indices in splits.split(labels, number, **split.model_dump())
    )
    del images

    history = Path(f"plots/history/{name}.csv")

    def write_history(epochs: list[Epoch]) -> None:
        records.write_csv(history, map(asdict, epochs))

    checkpoint = trainer.checkpoint(name, (task, split), TRAIN)
    kept = trainer.train(name, task, model, training_set, validation_set, checkpoint, write_history)

    saved = Path(f"models/{name}.h5")
    models.save(model, saved)
    metrics = Path(f"metrics/{name}.json")
    scores = {
        "train": {"loss": kept.loss, "accuracy": kept.accuracy},
        "validation": {"loss": kept.val_loss, "accuracy": kept.val_accuracy},
        "epochs": kept.epoch,
        "parameters": model.count_params(),
    }
    records.write_json(metrics, scores)
    if name != "baseline":
        candidates.write_receipt(name, saved, scores["validation"])
    checkpoint.remove()
    console.say(f"wrote {saved}, {metrics} and {history}")


if __name__ == "__main__":
    console.run(main)
