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
    params.load()
    with guard.unchanged(read):
        splits, has_flips = read()
        evaluate([outs.files(name).model for name in outs.candidates(splits)], has_flips)


def read() -> tuple[list[int], bool]:
    """The candidates' splits, and whether they were trained on mirrored images."""
    values = parameters.read()
    train = values["train"]
    recipe = Recipe.model_validate(values["recipes"][train["recipe"]])
    flips = [given.get("mode") for kind, given in recipe.augmentation if kind == "RandomFlip"]
    return train["splits"], any(mode != "vertical" for mode in flips)


def evaluate(models: Sequence[Path], has_flips: bool) -> None:
    """Write the scores, tables and pictures of the best model, and the ensemble's scores.

    Args:
        models: the ensemble's, which is scored if there are at least two.
        has_flips: whether the mean over an image and its mirror image is scored too.
    """
    # Keras takes seconds to load.
    from fashion_mnist.learning.prediction import predict
    from fashion_mnist.model_files import loading
    from fashion_mnist.scoring import scores

    images, labels = dataset.read(outs.TEST)
    best = loading.load_model(outs.BEST_MODEL)
    probabilities = predict(best, images)
    found: dict[str, Any] = scores.scores(probabilities, labels)
    if has_flips:
        mirrored = predict(best, images[:, :, ::-1])
        found["flip_averaging"] = scores.in_short((probabilities + mirrored) / 2, labels)
    if len(models) > 1:
        averaged = np.mean([predict(loading.load_model(path), images) for path in models], axis=0)
        found["ensemble"] = {"models": len(models), **scores.in_short(averaged, labels)}
    predicted = probabilities.argmax(axis=1)
    records.write_json(outs.TEST_SCORES, found)
    records.write_csv(outs.PER_CLASS, scores.by_class(predicted, labels))
    records.write_csv(
        outs.CONFUSION,
        (
            {"actual": dataset.CLASS_NAMES[a], "predicted": dataset.CLASS_NAMES[p]}
            for a, p in zip(labels, predicted, strict=True)
        ),
    )
    write_pictures(best, images, labels, probabilities)
    console.say(results.final_scores(found))
    console.say(f"wrote {outs.TEST_SCORES} and {PLOTS}/*.csv, *.png")


def write_pictures(
    model: "keras.Model", images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """The original's figure for the baseline and the best model, and what goes wrong and why."""
    from fashion_mnist.learning.prediction import predict
    from fashion_mnist.scoring import figures, occlusion
    from fashion_mnist.scoring.scores import most_confident_mistakes

    predicted = probabilities.argmax(axis=1)
    best = records.read_json(outs.SELECTION)["best"]
    history = records.read_csv(outs.TRAINING, texts=("model", "images"))
    for name, title, picture in (
        ("baseline", "Baseline", "training_baseline.png"),
        (best, f"Best model ({best})", "training_best_model.png"),
    ):
        rows = [row for row in history if row["model"] == name]
        figures.save(figures.training_curves(title, rows), PLOTS / picture)
    figures.save(figures.confusion(labels, predicted), PLOTS / "confusion.png")
    worst = most_confident_mistakes(probabilities, labels, MISTAKES)
    rows = [
        {
            "image": int(index),  # in the test set, from 0
            "actual": dataset.CLASS_NAMES[labels[index]],
            "predicted": dataset.CLASS_NAMES[predicted[index]],
            "confidence": float(probabilities[index].max()),
        }
        for index in worst
    ]
    records.write_csv(outs.MISTAKES, rows, ("image", "actual", "predicted", "confidence"))
    evidence = occlusion.evidence(lambda covered: predict(model, covered), images[worst])
    figures.save(
        figures.explanations(images[worst], labels[worst], probabilities[worst], evidence),
        outs.EXPLANATIONS,
    )


if __name__ == "__main__":
    console.run(main)
