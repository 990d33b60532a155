"""Whether a difference between two networks may be chance."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import permutation_test

RESAMPLES = 400  # for each pair that is tested: a corrected p-value can then be as small as 0.005
SEED = 1


def paired_permutation(a: np.ndarray, b: np.ndarray, pairs: int = 1) -> float:
    """Two-sided p-value of a paired permutation test (Fisher 1935) on the mean of b - a.

    Under the null hypothesis, each image's two values may be exchanged.

    Args:
        a: float (N,), how often a network classifies each image correctly, over its seeds.
        b: the same of another network.
        pairs: how many networks' pairs are tested; the more, the finer the p-value must be.
    """
    difference = b - a
    different = difference[difference != 0]  # exchanging equal values changes nothing
    if not len(different):
        return 1.0
    result = permutation_test(
        (different,),
        lambda values, axis: values.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=max(RESAMPLES * pairs, 9999),
        batch=1000,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979, Scand. J. Statist. 6:65-70)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(largest, 1.0)
    return corrected
