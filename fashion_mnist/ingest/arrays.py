"""Data sets in one npz file, with arrays named as in MedMNIST (arXiv:2110.14795)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.ingest import splitting
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.storage.dataset import MOST_CLASSES, Labelled

TRAINING, TESTING = ("train", "val"), ("test",)


def read(folder: Path, described: DataSet) -> tuple[Labelled, Labelled]:
    """The training and test images of the npz file in `folder`, which are not yet checked.

    `val_images` train, because each split sets its own validation images apart.

    Raises:
        InputError: the file is damaged, or an array is missing or is no such array.
    """
    path = next(iter(sorted(folder.glob("*.npz"))), None)
    if path is None:
        raise InputError(f"{folder} holds no npz file: `dvc repro fetch` gets it")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # zipfile and numpy raise many kinds of errors
        raise InputError(f"{path} is damaged: {first_sentence(error)}") from None
    names = described.classes
    images, labels = _joined(path, arrays, TRAINING)
    labels = to_labels(path, labels, described.first_label)
    if "test_images" in arrays:
        test_images, test_labels = _joined(path, arrays, TESTING)
        test_labels = to_labels(path, test_labels, described.first_label)
    elif described.test_fraction is None:
        raise InputError(f"{path} has no array test_images: add one, or set test_fraction")
    else:
        tests = splitting.test_images(labels, described.test_fraction)
        test_images, test_labels = images[tests], labels[tests]
        images, labels = images[~tests], labels[~tests]
    classes = tuple(names or map(str, np.arange(labels.max(initial=0) + 1) + described.first_label))
    return Labelled(images, labels, classes), Labelled(test_images, test_labels, classes)


def _joined(
    path: Path, arrays: dict[str, Any], parts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of these parts, of which the first must be there."""
    for kind in ("images", "labels"):
        if f"{parts[0]}_{kind}" not in arrays:
            raise InputError(
                f"{path} has no array {parts[0]}_{kind}; it has {', '.join(arrays) or 'none'}"
            )
    there = [part for part in parts if f"{part}_images" in arrays and f"{part}_labels" in arrays]
    try:
        images, labels = (
            np.concatenate([arrays.pop(f"{part}_{kind}") for part in there])
            if len(there) > 1
            else arrays.pop(f"{parts[0]}_{kind}")
            for kind in ("images", "labels")
        )
    except ValueError as error:
        raise InputError(f"{path}: {', '.join(there)} cannot be joined: {error}") from None
    if images.shape[3:] == (1,):
        images = images[..., 0]
    return images, labels


def to_labels(path: Path, values: np.ndarray, first: int) -> np.ndarray:
    """Labels uint8, or uint16 if need be, (N,), from integers (N,) or (N, 1).

    Args:
        path: of their file, for messages.
        values: the labels as they come.
        first: the label of the first class, which becomes 0.

    Raises:
        InputError: they are no such integers.
    """
    flat = values[:, 0] if values.shape[1:] == (1,) else values
    if flat.ndim != 1 or flat.dtype.kind not in "iub":
        raise InputError(
            f"{path}: labels must be whole numbers (N,), not {values.dtype} {values.shape}"
        )
    labels = flat.astype(np.int64) - first
    if len(labels) and not 0 <= labels.min() <= labels.max() < MOST_CLASSES:
        worst = int(flat[np.argmax(np.abs(labels))])
        raise InputError(
            f"{path}: labels must lie in {first}-{first + MOST_CLASSES - 1}, not {worst}: "
            "set first_label to that of the first class"
        )
    return labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)
