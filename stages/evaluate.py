"""Score the best model, or any other, on the test set."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fashion_mnist import candidates, console, dataset, inputs, records, results

if TYPE_CHECKING:
    import keras

TEST = Path("data/processed/test.npz")
BEST = Path("models/best_model.h5")
METRICS = Path("metrics/test.json")
SELECTION = Path("metrics/selection.json")
PLOTS = Path("plots")
TRAINING = PLOTS / "training.csv"
MISTAKES = 24


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python -m stages.evaluate --model models/model-2.h5",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="a Keras .h5 or .keras model to score instead of the best one; writes no files",
    )
    other = parser.parse_args().model
    with inputs.held(lambda _: None):
        evaluate(other)


def evaluate(other: Path | None) -> None:
    """Score the best model and write its figures, or score another and write nothing."""
    from fashion_mnist import evaluation, models

    model = models.load_best_model(other or BEST)
    images, labels = dataset.read(TEST)
    probabilities = models.predict(model, images)
    scores = evaluation.scores(probabilities, labels)
    if other is None:
        mirrored = models.predict(model, images[:, :, ::-1])
        ensemble = [models.predict(each, images) for each in all_candidates()]
        scores["mirrored"] = evaluation.in_short((probabilities + mirrored) / 2, labels)
        scores["ensemble"] = evaluation.in_short(np.mean(ensemble, axis=0), labels)
    console.say(results.final_scores(scores))
    if other is None:
        records.write_json(METRICS, scores)
        write_tables(scores, probabilities.argmax(axis=1), labels)
        write_pictures(images, labels, probabilities)
        console.say(f"wrote {METRICS} and {PLOTS}/*.csv, *.png")


def all_candidates() -> Iterator["keras.Model"]:
    """The models of all splits, whose receipts are in the folder that this depends on."""
    from fashion_mnist import models

    for path in sorted(candidates.RECEIPTS.glob("model-*.json")):
        yield models.load_best_model(candidates.model_file(candidates.receipt(path.stem)))


def write_tables(scores: dict, predicted: np.ndarray, labels: np.ndarray) -> None:
    """The tables that DVC draws: one row a test image, and one row a class."""
    names = dataset.CLASS_NAMES
    records.write_csv(
        PLOTS / "confusion.csv",
        (
            {"actual": names[a], "predicted": names[p]}
            for a, p in zip(labels, predicted, strict=True)
        ),
    )
    records.write_csv(
        PLOTS / "per_class.csv",
        ({"class": name, **by_class} for name, by_class in scores["classes"].items()),
    )


def write_pictures(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """The original's figure for the baseline and the best model, and what goes wrong."""
    from fashion_mnist import evaluation, figures

    best = records.read_json(SELECTION)["best"]
    history = records.read_csv(TRAINING, texts=("model", "images"))
    for name, title, picture in (
        ("baseline", "Baseline", "training_baseline.png"),
        (best, f"Best model ({best})", "training_best_model.png"),
    ):
        rows = [row for row in history if row["model"] == name]
        figures.save(figures.training_curves(title, rows), PLOTS / picture)
    figures.save(figures.confusion(labels, probabilities.argmax(axis=1)), PLOTS / "confusion.png")
    worst = evaluation.most_confident_mistakes(probabilities, labels, MISTAKES)
    figures.save(
        figures.mistakes(images[worst], labels[worst], probabilities[worst]),
        PLOTS / "mistakes.png",
    )


if __name__ == "__main__":
    console.run(main)
