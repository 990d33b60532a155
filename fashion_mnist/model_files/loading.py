"""Model files: written so that the same weights give the same bytes, read without running them.

Keras runs code that a model file names (CVE-2024-3660, CVE-2025-1550, CVE-2025-9905 and
kin). So the model is built anew from what `descriptions` and `hdf5` let through, if it asks
for no more memory than the file has weights for.
"""

import copy
import io
import json
import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning.backend import keras, legacy_h5_format
from fashion_mnist.learning.dataset import CLASS_NAMES, IMAGE_SHAPE
from fashion_mnist.model_files import descriptions, hdf5
from fashion_mnist.storage import archives, files

LARGEST = 2**30  # bytes of a file
LARGEST_DESCRIPTION = 4 * 2**20  # bytes
MOST_OUTPUTS = 2**22  # of one layer, for one image


def load_model(path: str | Path) -> keras.Model:
    """Rebuild the model in a Keras `.h5` or `.keras` file; nothing in the file is executed.

    Files of Keras 2 are read too. The model maps float32 (N, 28, 28, 1) to
    probabilities (N, 10).

    Raises:
        InputError: the file is missing, is no model, has layers outside the allow-list,
            asks for more memory than its weights take, or takes or gives something else.
        OSError: it cannot be read, or there is no room for a copy of a `.keras` file's weights.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file: name a .h5 or .keras model")
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise InputError(f"{path} is no model, by its name: it must end in .h5 or .keras")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} is larger than {LARGEST // 2**30} GiB: refused")
    description, weights = _contents(path)
    try:
        clean = descriptions.inert(path, description)
        # What Keras notes of variables that are never made, it forgets with the thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_check_sketch, path, clean, len(weights)).result()
        model = _build(clean)
        if path.suffix == ".keras":
            _load_weights(model, hdf5.plain(weights))
        else:
            _load_legacy_weights(model, weights)
    except (InputError, OSError):
        raise
    except Exception as error:  # Keras and TensorFlow raise anything at all
        reason = first_sentence(error) or type(error).__name__
        raise InputError(f"{path} cannot be rebuilt: {reason}") from None
    return model


def _contents(path: Path) -> tuple[dict[str, Any], bytes]:
    """The file's description of its model, as data, and its HDF5 file; a `.h5` file is plain."""
    try:
        if path.suffix == ".keras":
            text, weights = archives.read(path, "config.json", "model.weights.h5")
        else:
            weights = hdf5.plain(path.read_bytes())
            with h5py.File(io.BytesIO(weights)) as file:
                text = file.attrs["model_config"]
        if len(text) > LARGEST_DESCRIPTION:
            raise ValueError(f"its description is over {LARGEST_DESCRIPTION // 2**20} MiB long")
        description = json.loads(text)
        if not isinstance(description, dict):
            raise ValueError("its description is no mapping")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(
            f"{path} is not a Keras model ({first_sentence(error)}): "
            "needed is a .h5 or .keras file with its architecture"
        ) from None
    return description, weights


def _build(description: dict[str, Any]) -> keras.Model:
    cls = keras.Sequential if description["class_name"] == "Sequential" else keras.Model
    return cls.from_config(copy.deepcopy(description["config"]))


def _load_legacy_weights(model: keras.Model, weights: bytes) -> None:
    with h5py.File(io.BytesIO(weights)) as file:
        group = file.get("model_weights", file)
        legacy_h5_format.load_weights_from_hdf5_group(group, model)


def _load_weights(model: keras.Model, weights: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:  # Keras reads these from a named file only
        path = Path(folder, "model.weights.h5")
        files.write(path, weights)
        model.load_weights(path)


def _check_sketch(path: Path, description: dict[str, Any], file_size: int) -> None:
    """Build the model without weights, and raise InputError if it would be too large."""
    with keras.StatelessScope(initialize_variables=False):
        model = _build(description)
    parameters = sum(math.prod(variable.shape) for variable in model.variables)
    if parameters > file_size:
        raise InputError(f"{path} describes {parameters:,} weights and does not hold them: refused")
    outputs = max((math.prod(filter(None, s[1:])) for s in _output_shapes(model)), default=0)
    if outputs > MOST_OUTPUTS:
        raise InputError(f"{path} makes {outputs:,} numbers of an image: refused")
    taken, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    if taken != IMAGE_SHAPE or given != (len(CLASS_NAMES),):
        raise InputError(
            f"{path} maps {taken} to {given}; needed is a model from {IMAGE_SHAPE} "
            f"to {len(CLASS_NAMES)} class probabilities"
        )


def _output_shapes(model: keras.Model) -> Iterator[tuple[int | None, ...]]:
    """The shape that each layer gives wherever it is called."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _output_shapes(layer)
        for node in layer._inbound_nodes:
            yield from (tensor.shape for tensor in node.outputs)
