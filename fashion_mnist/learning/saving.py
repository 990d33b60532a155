"""Model files that hold the same bytes whenever the weights are the same."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import h5py

from fashion_mnist.learning.backend import keras, legacy_h5_format
from fashion_mnist.storage import files

CLASSES = "classes"  # the attribute that names them, as a JSON list


def save(model: keras.Model, path: str | Path, classes: Sequence[str] = ()) -> None:
    """Write `content` to a file.

    Raises:
        OSError: the file cannot be written; what was there before remains.
    """
    files.write(path, content(model, classes))


def content(model: keras.Model, classes: Sequence[str] = ()) -> bytes:
    """An HDF5 file without optimizer state; unlike a `.keras` file, it holds no dates.

    Args:
        model: the network.
        classes: the names that the file remembers, if there are any.
    """
    # HDF5 itself ends the process when the disk is full, so it writes to memory.
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
        if classes:
            file.attrs[CLASSES] = json.dumps(list(classes), ensure_ascii=False)
    return memory.getvalue()


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Give a model the weights that `save` wrote for one with the same layers.

    Raises:
        OSError: the file cannot be read.
    """
    with h5py.File(path) as file:
        legacy_h5_format.load_weights_from_hdf5_group(file["model_weights"], model)
