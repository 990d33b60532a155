"""The npz files between the stages, and the names of the classes."""

from pathlib import Path

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.storage import archives

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IMAGE_SHAPE = (28, 28, 1)


def write(path: str | Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images uint8 (N, 28, 28) and labels uint8 (N,); the same arrays, the same bytes."""
    archives.write_arrays(path, images=images, labels=labels)


def read(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read images uint8 (N, 28, 28) and labels uint8 (N,).

    Raises:
        InputError: the file is missing, damaged, or holds anything else.
        OSError: it cannot be read.
    """
    try:
        images, labels = archives.read_arrays(path, "images", "labels")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro preprocess` makes it") from None
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({first_sentence(error)}): "
            "remove it, `dvc repro preprocess` makes it again"
        ) from None
    check(path, images, labels)
    return images, labels


def check(name: str | Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Check what the rest of the pipeline relies on.

    Raises:
        InputError: they are not uint8 (N, 28, 28) and uint8 (N,), N at least 1, or a
            label is not one of the ten classes.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != IMAGE_SHAPE[:2]:
        raise InputError(
            f"{name}: images must be uint8 (N, 28, 28), not {images.dtype} {images.shape}"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise InputError(f"{name}: labels must be uint8 (N,), not {labels.dtype} {labels.shape}")
    if len(images) != len(labels) or not len(images):
        raise InputError(
            f"{name}: as many labels as images are needed, at least one, "
            f"not {len(labels)} labels for {len(images)} images"
        )
    if labels.max() >= len(CLASS_NAMES):
        index = int(labels.argmax())
        raise InputError(f"{name}: labels must lie in 0-9, but label {index} is {labels[index]}")
