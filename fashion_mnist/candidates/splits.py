"""Divides the training images into those that train and those that validate."""

import numpy as np
from sklearn.model_selection import train_test_split

from fashion_mnist.errors import InputError


def split(
    labels: np.ndarray, number: int, strategy: str, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images that train and of those that validate, for split `number` (1, 2, ...).

    `stratified` and `shuffled` draw each split from all images, with and without equal shares
    of every class. `nested` splits again what the previous split left for training, as the
    original does, so that each model sees a fifth fewer images than the one before.

    Args:
        labels: (N,) integers.
        number: from 1; with `seed` it decides the draw.
        strategy: "stratified", "shuffled" or "nested".
        validation_fraction: in (0, 1).
        seed: of all splits.

    Raises:
        InputError: there are too few images to split like that.
    """
    rest = np.arange(len(labels))
    try:
        if strategy == "nested":
            for _ in range(number):
                rest, validation = train_test_split(
                    rest, test_size=validation_fraction, random_state=seed
                )
            return rest, validation
        draw = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        return tuple(
            train_test_split(
                rest,
                test_size=validation_fraction,
                random_state=draw,
                stratify=labels if strategy == "stratified" else None,
            )
        )
    except ValueError as error:
        raise InputError(
            f"split {number} ({strategy}, validation_fraction {validation_fraction}) "
            f"of {len(labels)} images cannot be made: {error}"
        ) from None
