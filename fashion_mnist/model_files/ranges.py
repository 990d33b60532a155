"""The range of numbers in which a network expects its images."""

import re
from typing import NamedTuple

import numpy as np

from fashion_mnist.errors import InputError
from fashion_mnist.learning import prediction
from fashion_mnist.learning.backend import keras

STANDARDIZED = "standardized"
_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_WRITTEN = re.compile(rf"{_NUMBER}\s*(?:\.{{2,3}}|…|,|:)\s*{_NUMBER}")


class Range(NamedTuple):
    """The numbers that black and white become."""

    black: float
    white: float

    def __str__(self) -> str:
        return f"{self.black:.4g}...{self.white:.4g}"

    def layer(self) -> keras.layers.Rescaling:
        """A layer that maps images in [0, 1] to this range."""
        return keras.layers.Rescaling(self.white - self.black, self.black, name="image_range")


UNIT, SIGNED, BYTES = Range(0, 1), Range(-1, 1), Range(0, 255)


def standardized(images: np.ndarray) -> Range:
    """The range in which these images have a mean of 0 and a standard deviation of 1.

    Args:
        images: uint8 (N, ...).
    """
    mean, deviation = images.mean() / 255, images.std() / 255
    return Range(float(-mean / deviation), float((1 - mean) / deviation))


def parse(text: str) -> Range:
    """The range that is written as in `-1...1`.

    Raises:
        InputError: it is written in another way, or is empty.
    """
    written = _WRITTEN.fullmatch(text.strip())
    found = Range(*map(float, written.groups())) if written else UNIT
    if not written or found.black == found.white:
        raise InputError(
            f"--range {text}: needed are the numbers of black and white, such as -1...1, "
            f"or {STANDARDIZED}"
        )
    return found


def accuracies(
    model: keras.Model, expected: Range, images: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """The network's accuracy if its images were in each usual range, by the range's name.

    Args:
        model: maps images in [0, 1] to probabilities.
        expected: the range in which it gives them to the network from the file.
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: integers (N,).
    """
    usual = {str(each): each for each in (UNIT, SIGNED, BYTES)}
    found, size = {}, expected.white - expected.black
    for name, tried in (usual | {STANDARDIZED: standardized(images)}).items():
        given = Range(*((end - expected.black) / size for end in tried))
        network = keras.Sequential([keras.Input(model.input_shape[1:]), given.layer(), model])
        _, found[name] = prediction.loss_and_accuracy(prediction.predict(network, images), labels)
    return found
