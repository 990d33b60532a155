"""Probabilities that match accuracy: temperature scaling (Guo et al. 2017, arXiv:1706.04599)."""

import numpy as np
from scipy.optimize import minimize_scalar

from fashion_mnist.learning.prediction import loss_and_accuracy

LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are tried


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of the logits divided by `temperature`; the predicted class does not change.

    Args:
        probabilities: float (N, classes), rows sum to 1; the result is float64.
        temperature: above 0; below 1, it makes a model more confident.
    """
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def fitted_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the cross-entropy is lowest.

    Args:
        probabilities: float (N, classes), for images that did not train the model.
        labels: integers (N,).
    """
    found = minimize_scalar(
        lambda log: loss_and_accuracy(at_temperature(probabilities, np.exp(log)), labels)[0],
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
    )
    return float(np.exp(found.x))
