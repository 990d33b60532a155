"""Whether a difference between two networks may be chance."""

import numpy as np
from scipy.stats import permutation_test

RESAMPLES = 9999
SEED = 1


def paired_permutation(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p-value of a paired permutation test (Fisher 1935) on the mean of b - a.

    Under the null hypothesis, each image's two values may be exchanged.

    Args:
        a: float (N,), how often a network classifies each image correctly, over its seeds.
        b: the same of another network.
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
        n_resamples=RESAMPLES,
        batch=1000,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)
