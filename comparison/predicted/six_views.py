"""The six views of an image that test-time augmentation averages over."""

from collections.abc import Iterator

import numpy as np

SHIFTS = ((0, 0), (-1, -1), (1, 1))  # pixels down and to the right


def of(images: np.ndarray) -> Iterator[np.ndarray]:
    """Six versions of the images uint8 (N, 28, 28): mirrored or not, at three offsets.

    Pixels that are shifted in are 0.
    """
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1)])
    for seen in (padded, padded[:, :, ::-1]):
        for down, right in SHIFTS:
            yield seen[:, 1 - down : 29 - down, 1 - right : 29 - right]


def name_of_mean(name: str) -> str:
    """The name under which the mean predictions of the model `name` are kept."""
    return f"{name}-six-views"
