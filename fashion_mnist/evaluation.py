"""Scores of class probabilities, and the checked loading of the model that gives them."""

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from fashion_mnist.dataset import CLASS_NAMES

CALIBRATION_BINS = 15
SMALLEST_PROBABILITY = 1e-7  # as Keras clips it, so that a sure mistake costs 16.1, not infinity


def loss_and_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats, and the fraction that is right.

    Args:
        probabilities: float (N, 10), rows sum to 1.
        labels: integers (N,) in 0-9.
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy (Wilson 1927, JASA 22:209-212)."""
    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def with_interval(accuracy: float, images: int) -> dict[str, float]:
    """An accuracy measured on so many images, and its 95 % interval."""
    low, high = accuracy_interval(round(accuracy * images), images)
    return {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}


def mcnemar(only: int, only_other: int) -> float:
    """How likely such a difference is by chance (McNemar 1947, Psychometrika 12:153-157).

    Exact: of the images that just one of two models has right, each has half of them if
    they are equally good.

    Args:
        only: how many images a model has right and the other has not.
        only_other: how many the other has right and it has not.
    """
    if only + only_other == 0:
        return 1.0
    return float(binomtest(only, only + only_other).pvalue)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How far confidence is from accuracy on average (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: float (N, 10).
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
        probabilities: float (N, 10).
        labels: integers (N,).
    """
    loss, accuracy = loss_and_accuracy(probabilities, labels)
    return {"loss": loss, **with_interval(accuracy, len(labels))}


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict:
    """Everything in metrics/test.json.

    Args:
        probabilities: float (N, 10).
        labels: integers (N,).
    """
    predicted = probabilities.argmax(axis=1)
    by_class = precision_recall_fscore_support(
        labels, predicted, labels=range(len(CLASS_NAMES)), zero_division=0.0
    )
    return {
        **in_short(probabilities, labels),
        "calibration_error": expected_calibration_error(probabilities, labels),
        "classes": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f)}
            for name, p, r, f in zip(CLASS_NAMES, *by_class[:3], strict=True)
        },
    }


def most_confident_mistakes(
    probabilities: np.ndarray, labels: np.ndarray, count: int
) -> np.ndarray:
    """Indices of the wrong predictions, surest first: (count,) or fewer."""
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
