"""Train one model: candidate model-K on split K, or the baseline on split 1."""

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from fashion_mnist import console, dataset, files, params, records

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
    config = params.load()
    chosen = config.baseline if name == "baseline" else config.train
    recipe = config.recipes[chosen.recipe]

    # Only now: they take seconds to load, and params.yaml is known to be good.
    from fashion_mnist import architectures, engine, models, recipes, splits, training

    engine.make_reproducible(config.train.seed, config.train.threads)
    model = architectures.build(chosen.architecture, config.architectures[chosen.architecture])
    # Their mistakes are told before any data is read.
    recipes.optimizer(chosen.recipe, recipe, steps=1)
    recipes.augmentation(chosen.recipe, recipe)

    images, labels = dataset.read(TRAIN)
    number = 1 if name == "baseline" else int(name.removeprefix("model-"))
    train, validation = (
        training.Examples(images[indices], labels[indices])
        for indices in splits.split(labels, number, **config.split.model_dump())
    )
    del images
    console.say(
        f"{name}: architecture {chosen.architecture}, {architectures.describe(model)}, "
        f"{model.count_params():,} parameters, "
        f"{architectures.multiply_adds(model):,} multiply-adds an image"
    )
    console.say(
        f"{name}: {len(train):,} training images, {len(validation):,} validation images, "
        f"recipe {chosen.recipe}: {recipes.describe(recipe)}"
    )

    history = Path(f"plots/history/{name}.csv")
    rows: list[dict] = []
    batches = training.batches(train, recipe)
    with console.progress(batches, f"{name} epoch 1/{recipe.epochs}", "batch") as bar:
        started = monotonic()

        def on_epoch(epoch: training.Epoch) -> None:
            nonlocal started
            rows.append(asdict(epoch))
            records.write_csv(history, rows)
            console.say(f"{epoch.line(recipe.epochs)}  {monotonic() - started:.1f} s")
            started = monotonic()
            bar.reset()
            bar.set_description(f"{name} epoch {epoch.epoch + 1}/{recipe.epochs}")

        def on_batches(done: int) -> None:
            bar.update(done - bar.n)

        kept = training.fit(
            model,
            chosen.recipe,
            recipe,
            train,
            validation,
            config.train.seed,
            on_epoch,
            on_batches,
        )

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
        receipt = {
            "model": saved.as_posix(),
            "sha256": files.sha256(saved),
            **scores["validation"],
        }
        records.write_json(f"models/candidates/{name}.json", receipt)
    console.say(f"wrote {saved}, {metrics} and {history}")


if __name__ == "__main__":
    console.run(main)
