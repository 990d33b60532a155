"""Sets apart test images where a data set has none."""

import numpy as np


def test_images(labels: np.ndarray, fraction: float) -> np.ndarray:
    """Which images test, bool (N,): the same share of every class, and the same ones each time.

    Args:
        labels: integers (N,).
        fraction: in (0, 1); at least one image of a class tests, and at least one trains.
    """
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.random.default_rng(int(label)).permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(of_class))), len(of_class) - 1)
        chosen[of_class[:count]] = True
    return chosen
