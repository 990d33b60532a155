"""What each row of the comparison leaves: how large its network is, and what each model says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fashion_mnist import archives, records
from fashion_mnist.errors import InputError, first_sentence

FOLDER = Path("models/comparison")


def model_file(name: str, seed: int) -> Path:
    """The model of this seed."""
    return FOLDER / name / f"seed-{seed}.h5"


def write(name: str, size: Mapping[str, int], probabilities: Mapping[int, np.ndarray]) -> None:
    """Note the row's "parameters" and "multiply_adds", and what its models say of the test images.

    Args:
        name: of the row.
        size: of its network.
        probabilities: by seed, float32 (N, 10).
    """
    archives.write_arrays(
        _probabilities(name), **{str(seed): each for seed, each in probabilities.items()}
    )
    records.write_json(_size(name), size)


def read_size(name: str) -> dict[str, int]:
    """The row's "parameters" and "multiply_adds".

    Raises:
        InputError: it is missing or damaged.
    """
    return records.read_json(_size(name))


def read_probabilities(name: str, seeds: Sequence[int]) -> np.ndarray:
    """What the models of these seeds say: float32 (seeds, N, 10).

    Raises:
        InputError: it is missing or damaged.
    """
    path = _probabilities(name)
    try:
        return np.stack(archives.read_arrays(path, *map(str, seeds)))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `make comparison` makes it") from None
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({first_sentence(error)}): remove it and run `make comparison`"
        ) from None


def _size(name: str) -> Path:
    return FOLDER / name / "size.json"


def _probabilities(name: str) -> Path:
    return FOLDER / name / "probabilities.npz"
