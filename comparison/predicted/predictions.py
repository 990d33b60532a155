"""What each model predicts for the test images: kept in git, so that anyone can score it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.storage import archives

FOLDER = Path("predictions")
ENSEMBLE = "ensemble"  # the line of the table that averages models


class Predictions(NamedTuple):
    """Class probabilities float16 (N, 10) of the test images, and their labels uint8 (N,)."""

    probabilities: np.ndarray
    labels: np.ndarray


def write(name: str, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Keep a model's class probabilities, any float (N, 10), as float16."""
    archives.write_arrays(
        FOLDER / f"{name}.npz", probabilities=probabilities.astype(np.float16), labels=labels
    )


def read(name: str) -> Predictions:
    """What `write` kept.

    Raises:
        InputError: the file is missing or damaged.
        OSError: it cannot be read.
    """
    path = FOLDER / f"{name}.npz"
    try:
        return Predictions(*archives.read_arrays(path, *Predictions._fields))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `make comparison` trains the model") from None
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({first_sentence(error)}): `git checkout {path}` restores it"
        ) from None
