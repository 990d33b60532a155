"""Find images that are exact copies of each other."""

import numpy as np


def repeated(images: np.ndarray) -> int:
    """Count the images, uint8 (N, 28, 28), that are copies of an earlier one."""
    return len(images) - len(set(_contents(images)))


def also_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mark the images that are also in `others`: bool (N,).

    Both are uint8, (N, 28, 28) and (M, 28, 28).
    """
    known = set(_contents(others))
    return np.array([content in known for content in _contents(images)], dtype=bool)


def _contents(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]
