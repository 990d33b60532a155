"""Score the best model on the test set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fashion_mnist.checking import guard, params
from fashion_mnist.learning.schema import Recipe
from fashion_mnist.storage import dataset, outs, parameters, records
from fashion_mnist.talk import console, results

if TYPE_CHECKING:
    import keras

PLOTS = Path("plots")
MISTAKES = 24


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.evaluate")
    config = params.load()
    with guard.unchanged(read):
        splits, has_flips = read()
        models = [outs.files(name).model for name in outs.candidates(splits)]
        evaluate(models, has_flips, config.dataset)


def read() -> tuple[list[int], bool]:
    """The candidates' splits, and whether they were trained on mirrored images."""
    values = parameters.read()
    train = values["train"]
    recipe = Recipe.model_validate(values["recipes"][train["recipe"]])
    flips = [given.get("mode") for kind, given in recipe.augmentation if kind == "RandomFlip"]
    return train["splits"], any(mode != "vertical" for mode in flips)


def evaluate(models: Sequence[Path], has_flips: bool, name: str) -> None:
    """Write the best model's scores, tables and pictures, and the scores of all and of their mean.

    Args:
        models: the candidates, which are scored if there are at least two.
        has_flips: whether the mean over an image and its mirror image is scored too.
        name: of the data set, for the table.
    """
    # Keras takes seconds to load.
    from fashion_mnist.learning.prediction import predict
    from fashion_mnist.model_files import loading
    from fashion_mnist.scoring import scores

    data = dataset.read(outs.TEST)
    images, labels, names = data
    best = loading.load_model(outs.BEST_MODEL, data.kind)
    probabilities = predict(best, images)
    found: dict[str, Any] = scores.scores(probabilities, labels)
    if has_flips:
        mirrored = predict(best, images[:, :, ::-1])
        found["flip_averaging"] = scores.in_short((probabilities + mirrored) / 2, labels)
    if len(models) > 1:
        each = {path.stem: predict(loading.load_model(path, data.kind), images) for path in models}
        found["candidates"] = {name: scores.in_short(one, labels) for name, one in each.items()}
        averaged = np.mean([*each.values()], axis=0)
        found["ensemble"] = {"models": len(models), **scores.in_short(averaged, labels)}
    predicted = probabilities.argmax(axis=1)
    records.write_json(outs.TEST_SCORES, found)
    records.write_csv(outs.PER_CLASS, scores.by_class(predicted, labels, names))
    records.write_csv(
        outs.CONFUSION,
        (
            {"actual": names[a], "predicted": names[p]}
            for a, p in zip(labels, predicted, strict=True)
        ),
    )
    write_pictures(best, data, probabilities)
    console.say(results.final_scores(found, name))
    console.say(f"wrote {outs.TEST_SCORES} and {PLOTS}/*.csv, *.png")


def write_pictures(model: "keras.Model", data: dataset.Labelled, probabilities: np.ndarray) -> None:
    """The original's figure for the baseline and the best model, and what goes wrong and why."""
    from fashion_mnist.learning.prediction import predict
    from fashion_mnist.scoring import figures, occlusion
    from fashion_mnist.scoring.scores import most_confident_mistakes

    images, labels, names = data
    predicted = probabilities.argmax(axis=1)
    best = records.read_json(outs.SELECTION)["best"]
    history = records.read_csv(outs.TRAINING, texts=("model", "images"))
    for name, title, picture in (
        ("baseline", "Baseline", "training_baseline.png"),
        (best, f"Best model ({best})", "training_best_model.png"),
    ):
        rows = [row for row in history if row["model"] == name]
        figures.save(figures.training_curves(title, rows), PLOTS / picture)
    figures.save(figures.confusion(labels, predicted, names), PLOTS / "confusion.png")
    worst = most_confident_mistakes(probabilities, labels, MISTAKES)
    rows = [
        {
            "image": int(index),  # in the test set, from 0
            "actual": names[labels[index]],
            "predicted": names[predicted[index]],
            "confidence": float(probabilities[index].max()),
        }
        for index in worst
    ]
    records.write_csv(outs.MISTAKES, rows, ("image", "actual", "predicted", "confidence"))
    evidence = occlusion.evidence(lambda covered: predict(model, covered), images[worst])
    figures.save(
        figures.explanations(images[worst], labels[worst], probabilities[worst], evidence, names),
        outs.EXPLANATIONS,
    )


if __name__ == "__main__":
    console.run(main)
