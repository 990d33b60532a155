"""Find images that are exact copies of each other."""

from hashlib import blake2b

import numpy as np

Contents = list[bytes]  # of each image, a digest in place of its pixels


def contents(images: np.ndarray) -> Contents:
    """What tells images uint8 (N, H, W) or (N, H, W, 3) from each other."""
    return [blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def repeated(images: Contents) -> int:
    """Count the images that are copies of an earlier one."""
    return len(images) - len(set(images))


def also_in(images: Contents, others: Contents) -> np.ndarray:
    """Mark the images that are also among `others`: bool (N,)."""
    known = set(others)
    return np.array([content in known for content in images], dtype=bool)


def in_two_classes(images: Contents, labels: np.ndarray) -> int:
    """Count the images that are copies of an image of another class.

    Args:
        images: of N images.
        labels: integers (N,).
    """
    classes: dict[bytes, set[int]] = {}
    for content, label in zip(images, labels.tolist(), strict=True):
        classes.setdefault(content, set()).add(label)
    return sum(len(classes[content]) > 1 for content in images)
