"""Which images are exactly the same."""

import numpy as np


def repeated(images: np.ndarray) -> int:
    """How many images (N, 28, 28) are exact copies of an earlier one."""
    return len(images) - len(set(_bytes(images)))


def also_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which images (N, 28, 28) stand in others (M, 28, 28) too: bool (N,)."""
    known = set(_bytes(others))
    return np.array([image in known for image in _bytes(images)], dtype=bool)


def _bytes(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]
