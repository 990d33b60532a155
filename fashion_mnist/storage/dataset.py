"""The npz files between the stages: images, labels and the names of the classes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.storage import archives

MOST_CLASSES = 2**16
FIELDS = ("images", "labels", "classes")


class Kind(NamedTuple):
    """What the images of a data set are, and what they show.

    Attributes:
        image_shape: (height, width, channels).
        classes: their names, in the order of the labels.
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]


class Labelled(NamedTuple):
    """Images uint8 (N, H, W) or (N, H, W, 3), labels uint8 or uint16 (N,), and class names."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """What these images are."""
        return Kind(_image_shape(self.images.shape), self.classes)


def write(path: str | Path, labelled: Labelled) -> None:
    """Write images, labels and class names; the same ones always give the same bytes."""
    archives.write_arrays(path, **labelled._asdict() | {"classes": np.array(labelled.classes)})


def read(path: str | Path) -> Labelled:
    """Read what `write` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds anything else.
        OSError: it cannot be read.
    """
    try:
        images, labels, classes = archives.read_arrays(path, *FIELDS)
    except (FileNotFoundError, ValueError) as error:
        raise _unreadable(path, error) from None
    labelled = Labelled(images, labels, tuple(map(str, classes.ravel())))
    check(path, labelled)
    return labelled


def read_kind(path: str | Path) -> Kind:
    """The same file's kind, without its images.

    Raises:
        InputError, OSError: see `read`.
    """
    try:
        (classes,) = archives.read_arrays(path, "classes")
        shape = archives.read_shape(path, "images")
    except (FileNotFoundError, ValueError) as error:
        raise _unreadable(path, error) from None
    return Kind(_image_shape(shape), tuple(map(str, classes.ravel())))


def _unreadable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} is missing: `dvc repro preprocess` makes it")
    return InputError(
        f"{path} is damaged ({first_sentence(error)}): "
        "remove it, `dvc repro preprocess` makes it again"
    )


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of an array of images."""
    _, height, width, channels = (*shape, 1)[:4]
    return height, width, channels


def check(name: str | Path, labelled: Labelled) -> None:
    """Check what the rest of the pipeline relies on.

    Raises:
        InputError: an array has another type or shape than `Labelled` tells, there is no image,
            a label belongs to no class, or the classes are fewer than two or share a name.
    """
    images, labels, classes = labelled
    if images.dtype != np.uint8 or not (images.ndim == 3 or images.shape[3:] == (3,)):
        raise InputError(
            f"{name}: images must be uint8 (N, height, width) or (N, height, width, 3), "
            f"not {images.dtype} {images.shape}"
        )
    if labels.dtype not in (np.uint8, np.uint16) or labels.ndim != 1:
        raise InputError(f"{name}: labels must be uint8 (N,), not {labels.dtype} {labels.shape}")
    if len(images) != len(labels) or not images.size:
        raise InputError(
            f"{name}: as many labels as images are needed, at least one, "
            f"not {len(labels)} labels for {len(images)} images"
        )
    if not 2 <= len(set(classes)) == len(classes):
        raise InputError(
            f"{name}: two or more classes with names of their own are needed, "
            f"not {', '.join(classes) or 'none'}"
        )
    if labels.max() >= len(classes):
        index = int(labels.argmax())
        raise InputError(
            f"{name}: labels must lie in 0-{len(classes) - 1}, but label {index} is {labels[index]}"
        )
