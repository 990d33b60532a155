"""Scores of class probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from fashion_mnist.learning.prediction import loss_and_accuracy

CALIBRATION_BINS = 15


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy (Wilson 1927, JASA 22:209-212)."""
    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def with_interval(accuracy: float, images: int) -> dict[str, float]:
    """An accuracy measured on so many images, and its 95 % interval."""
    low, high = accuracy_interval(round(accuracy * images), images)
    return {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How far confidence is from accuracy on average (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: float (N, classes).
        labels: integers (N,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def in_short(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss, accuracy and its 95 % interval.

    Args:
        probabilities: float (N, classes).
        labels: integers (N,).
    """
    loss, accuracy = loss_and_accuracy(probabilities, labels)
    return {"loss": loss, **with_interval(accuracy, len(labels))}


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss, accuracy, its interval and the calibration error.

    Args:
        probabilities: float (N, classes).
        labels: integers (N,).
    """
    return {
        **in_short(probabilities, labels),
        "calibration_error": expected_calibration_error(probabilities, labels),
    }


def by_class(
    predicted: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """One row per class: precision, recall and F1.

    Args:
        predicted: integers (N,), the likeliest class.
        labels: integers (N,).
        names: of the classes.
    """
    classes = range(len(names))
    columns = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0.0)
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f)}
        for name, p, r, f in zip(names, *columns[:3], strict=True)
    ]


def most_confident_mistakes(
    probabilities: np.ndarray, labels: np.ndarray, count: int
) -> np.ndarray:
    """Indices of the wrong predictions, surest first: (count,) or fewer."""
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
