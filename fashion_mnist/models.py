"""Model files: written so that the same weights give the same bytes, read without running them.

Keras runs code that a model file names (CVE-2024-3660, CVE-2025-1550, CVE-2025-9905 and
kin). So a file's configuration is only read here, as data: every layer must be one of
`params.LAYERS`, and the model is built anew from their names and arguments.
"""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fashion_mnist import files
from fashion_mnist.dataset import CLASS_NAMES, IMAGE_SHAPE
from fashion_mnist.engine import keras, legacy_h5_format
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.params import LAYERS

# Beside the layers that params.yaml knows, those that only join others.
INERT_LAYERS = LAYERS | {"InputLayer", "Add", "Average", "Concatenate", "Maximum", "Multiply"}
CONTAINERS = frozenset({"Sequential", "Functional", "Model"})
LARGEST_CONFIGURATION = 16 * 2**20  # bytes
PREDICTION_BATCH = 250

# Of no consequence to a model that only predicts with weights that the file brings, and in
# Keras's format the place where a file names classes: left out unread.
_IGNORED_ARGUMENT = re.compile(
    r".*_(initializer|regularizer|constraint)|dtype|trainable|build_config|batch_input_shape"
)


def save(model: keras.Model, path: str | Path) -> None:
    """Write an HDF5 file without optimizer state: it holds no dates, unlike a .keras file."""
    # HDF5's own writing ends the process when the disk is full.
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        legacy_h5_format.save_model_to_hdf5(model, file, include_optimizer=False)
    files.write(path, memory.getvalue())


def load_best_model(path: str | Path) -> keras.Model:
    """Rebuild the model in a Keras `.h5` or `.keras` file; nothing in the file is executed.

    Files of Keras 2 are read too. The model maps float32 (N, 28, 28, 1) to
    probabilities (N, 10).

    Raises:
        InputError: the file is missing, is no model, has layers outside the allow-list,
            or takes or gives something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file: name a .h5 or .keras model")
    configuration = _configuration(path)
    try:
        clean = _inert(path, configuration)
        cls = keras.Sequential if clean["class_name"] == "Sequential" else keras.Model
        model = cls.from_config(clean["config"])
        model.load_weights(path)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError) as error:
        raise InputError(f"{path} cannot be rebuilt: {first_sentence(error)}") from None
    taken, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    if taken != IMAGE_SHAPE or given != (len(CLASS_NAMES),):
        raise InputError(
            f"{path} maps {taken} to {given}; needed is a model from {IMAGE_SHAPE} "
            f"to {len(CLASS_NAMES)} class probabilities"
        )
    return model


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (N, 10) of images uint8 (N, 28, 28)."""
    return probabilities(on_bytes(model), images)


def probabilities(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The same, by what `on_bytes` has made."""
    return network.predict(images[..., np.newaxis], batch_size=PREDICTION_BATCH, verbose=0)


def on_bytes(
    network: keras.layers.Layer, augmentation: Sequence[keras.layers.Layer] = ()
) -> keras.Sequential:
    """The same network on uint8 images, so that no float32 copy of them is held whole.

    Args:
        network: on float32 (N, 28, 28, 1) in [0, 1].
        augmentation: layers that come before it, at work in training only.
    """
    image = keras.Input(IMAGE_SHAPE, dtype="uint8")
    return keras.Sequential([image, keras.layers.Rescaling(1 / 255), *augmentation, network])


def _configuration(path: Path) -> dict[str, Any]:
    """The file's description of its model, as data."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo("config.json").file_size > LARGEST_CONFIGURATION:
                    raise InputError(f"{path} describes its model in over 16 MiB: refused")
                text = archive.read("config.json")
        else:
            with h5py.File(path, "r") as file:
                text = file.attrs["model_config"]
        configuration = json.loads(text)
    except (OSError, LookupError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a Keras model: needed is a .h5 or .keras file with its architecture"
        ) from None
    if not isinstance(configuration, dict):
        raise InputError(f"{path} is not a Keras model: its description is no mapping")
    return configuration


def _inert(path: Path, layer: Any) -> dict[str, Any]:
    """The same layer or model in today's format, known to hold names and plain values only."""
    kind, config = layer["class_name"], layer["config"]
    if kind in CONTAINERS:
        return _inert_container(path, kind, config, layer)
    if kind not in INERT_LAYERS:
        raise InputError(f"{path} has a layer {kind!r}, which is not known to be safe: refused")
    if kind == "InputLayer":
        shape = config.get("batch_shape") or config["batch_input_shape"]
        arguments = {"batch_shape": shape, "name": config["name"]}
    else:
        arguments = {k: v for k, v in config.items() if not _IGNORED_ARGUMENT.fullmatch(k)}
    match arguments.get("axis"):
        case [axis]:  # as Keras 2 wrote it
            arguments["axis"] = axis
    activation = arguments.get("activation")
    if activation is not None and not hasattr(keras.activations, str(activation)):
        raise InputError(f"{path} has an activation {activation!r} that is not Keras's: refused")
    for value in arguments.values():
        _refuse_objects(path, value)
    return _described(path, kind, arguments, layer)


def _inert_container(path: Path, kind: str, config: Any, layer: dict) -> dict[str, Any]:
    if isinstance(config, list):  # as early Keras 2 wrote a Sequential
        config = {"layers": config}
    layers = [_inert(path, inner) for inner in config["layers"]]
    if kind == "Sequential":
        # A Keras 2 file may state the input on its first layer, where Keras 3 reads it wrongly.
        if layers[0]["class_name"] != "InputLayer":
            shape = config["layers"][0]["config"]["batch_input_shape"]
            _refuse_objects(path, shape)
            layers.insert(0, _described(path, "InputLayer", {"batch_shape": shape}, {}))
        return _described(path, kind, {"name": "network", "layers": layers}, layer)
    ends = {key: config[key] for key in ("input_layers", "output_layers")}
    _refuse_objects(path, ends)
    graph = {"name": "network", "layers": layers, **ends}
    return _described(path, "Functional", graph, layer)


def _described(path: Path, kind: str, config: dict, source: dict) -> dict[str, Any]:
    """A layer as Keras 3 writes it down, always one of Keras's own."""
    described: dict[str, Any] = {"module": "keras.layers", "class_name": kind, "config": config}
    if kind in CONTAINERS:
        described["module"] = "keras" if kind == "Sequential" else "keras.src.models.functional"
    described["registered_name"] = None
    for key in ("name", "inbound_nodes"):
        if key in source:
            _refuse_objects(path, source[key])
            described[key] = source[key]
    return described


def _refuse_objects(path: Path, value: Any) -> None:
    """Raise InputError where plain data ends and the description of an object begins."""
    if isinstance(value, dict):
        if value.get("class_name", "__keras_tensor__") != "__keras_tensor__":
            raise InputError(f"{path} names the object {value['class_name']!r}: refused")
        for inner in value.values():
            _refuse_objects(path, inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_objects(path, inner)
