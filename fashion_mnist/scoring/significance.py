"""Whether a difference between two networks may be chance."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom


def paired_permutation(a: np.ndarray, b: np.ndarray) -> float:
    """Exact two-sided p-value of a paired permutation test (Fisher 1935) of equal accuracy.

    Under the null hypothesis, the two networks' results on an image may be exchanged. So the sum
    of the differences is a sum of independent steps up or down, one for each image.

    Args:
        a: bool (S, N), which of N images a network classifies correctly, for each of its S seeds.
        b: bool (T, N), the same of another network.
    """
    differences = b.sum(axis=0) * len(a) - a.sum(axis=0) * len(b)  # in 1 / (S T)
    differences //= max(np.gcd.reduce(differences), 1)
    probabilities = np.ones(1)  # of all sums, the lowest first
    for step, count in zip(*np.unique(np.abs(differences), return_counts=True), strict=True):
        if step:
            of_steps = np.zeros(2 * step * count + 1)
            of_steps[:: 2 * step] = binom.pmf(np.arange(count + 1), count, 0.5)
            probabilities = np.convolve(probabilities, of_steps)
    sums = np.arange(len(probabilities)) - len(probabilities) // 2
    p = probabilities[np.abs(sums) >= abs(differences.sum())].sum()
    return float(min(p, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979, Scand. J. Statist. 6:65-70)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(largest, 1.0)
    return corrected
