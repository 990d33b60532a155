"""The scores on the model card, from the predictions that git keeps."""

from pathlib import Path
from typing import Any

import numpy as np

from comparison.predicted import predictions
from comparison.publish import CALIBRATION
from fashion_mnist.reporting import markdown
from fashion_mnist.scoring import calibration, scores
from fashion_mnist.storage import parameters, records

DATA_SET = Path("../datasets/fashion-mnist.yaml")


def text(card: str, name: str) -> str:
    """The card, with the scores of the model `name`, as trained and as published."""
    return markdown.with_section(card, "scores", _scores(name))


def _scores(name: str) -> str:
    probabilities, labels = predictions.read(name)
    probabilities = probabilities.astype(np.float32)
    temperature = records.read_json(CALIBRATION)["temperature"]
    published = calibration.at_temperature(probabilities, temperature)
    overall = markdown.table(
        ["model", "accuracy", "95% interval", "loss", "calibration error"],
        [
            _line("as trained", scores.scores(probabilities, labels)),
            _line(f"published: temperature {temperature:.3f}", scores.scores(published, labels)),
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


def _line(model: str, found: dict[str, Any]) -> list[str]:
    return [
        model,
        f"{found['accuracy']:.2%}",
        f"{found['accuracy_low']:.2%} to {found['accuracy_high']:.2%}",
        f"{found['loss']:.4f}",
        f"{found['calibration_error']:.2%}",
    ]
