"""The scores on the model card, from the predictions that git keeps."""

from pathlib import Path

import numpy as np

from comparison.predicted import predictions
from fashion_mnist.reporting import markdown
from fashion_mnist.scoring import scores
from fashion_mnist.storage import parameters

DATA_SET = Path("../datasets/fashion-mnist.yaml")


def text(card: str, name: str) -> str:
    """The card with the scores of the model `name`."""
    return markdown.with_section(card, "scores", _scores(name))


def _scores(name: str) -> str:
    probabilities, labels = predictions.read(name)
    probabilities = probabilities.astype(np.float32)
    found = scores.scores(probabilities, labels)
    overall = markdown.table(
        ["accuracy", "95% interval", "loss", "calibration error"],
        [
            [
                f"{found['accuracy']:.2%}",
                f"{found['accuracy_low']:.2%} to {found['accuracy_high']:.2%}",
                f"{found['loss']:.4f}",
                f"{found['calibration_error']:.2%}",
            ]
        ],
    )
    names = parameters.read(DATA_SET)["classes"]
    classes = scores.by_class(probabilities.argmax(axis=1), labels, names)
    by_class = markdown.table(
        ["class", "precision", "recall", "F1"],
        [
            [row["class"], *(f"{row[key]:.1%}" for key in ("precision", "recall", "f1"))]
            for row in sorted(classes, key=lambda row: row["f1"])
        ],
    )
    return f"{overall}\n\n{by_class}"
