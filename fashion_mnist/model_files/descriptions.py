"""A model file's description of its layers: known to hold names and plain values only.

Every layer must be one of `layers.LAYERS`, or join others; nothing that a file names is imported.
"""

import re
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError
from fashion_mnist.layers import LAYERS
from fashion_mnist.learning.backend import keras

# Beside the layers that params.yaml knows, those that only join others.
INERT_LAYERS = LAYERS | {"InputLayer", "Add", "Average", "Concatenate", "Maximum", "Multiply"}
CONTAINERS = frozenset({"Sequential", "Functional", "Model"})
MOST_CALLS = 10_000  # of layers, while the model is built

# Of no consequence to a model that only predicts with weights that the file brings, and in
# Keras's format the place where a file names classes: left out unread.
_IGNORED_ARGUMENT = re.compile(
    r".*_(initializer|regularizer|constraint)|dtype|trainable|build_config|batch_input_shape"
)


def inert(path: Path, description: dict[str, Any]) -> dict[str, Any]:
    """The same model in today's format.

    Args:
        path: of the file, for the messages.
        description: of a model or layer, as Keras 2 or 3 writes it.

    Raises:
        InputError: it names a layer or an object that is not known to be safe, or nests models
            until building them would not end.
        Exception: anything at all where it is no description.
    """
    clean = _inert(path, description)
    if _calls(clean) > MOST_CALLS:
        raise InputError(f"{path} calls layers more than {MOST_CALLS:,} times: refused")
    return clean


def _calls(layer: dict[str, Any]) -> int:
    """How often layers are called while this one is built; a Sequential is, once for each."""
    inner = layer["config"].get("layers")
    if inner is None:
        return 1
    times = len(inner) if layer["class_name"] == "Sequential" else 1
    return sum(_calls(each) * (times + len(each.get("inbound_nodes", ()))) for each in inner)


def _inert(path: Path, layer: Any) -> dict[str, Any]:
    kind, config = layer["class_name"], layer["config"]
    if kind in CONTAINERS:
        return _inert_container(path, kind, config, layer)
    if kind not in INERT_LAYERS:
        raise InputError(f"{path} has a layer {kind!r}, which is not known to be safe: refused")
    if kind == "InputLayer":
        shape = config.get("batch_shape") or config["batch_input_shape"]
        arguments = {"batch_shape": _of_any_batch(path, shape), "name": config["name"]}
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
            shape = _of_any_batch(path, config["layers"][0]["config"]["batch_input_shape"])
            layers.insert(0, _described(path, "InputLayer", {"batch_shape": shape}, {}))
        return _described(path, kind, {"name": "network", "layers": layers}, layer)
    ends = {key: config[key] for key in ("input_layers", "output_layers")}
    _refuse_objects(path, ends)
    graph = {"name": "network", "layers": layers, **ends}
    return _described(path, "Functional", graph, layer)


def _of_any_batch(path: Path, shape: Any) -> list[int | None]:
    sizes = shape[1:]
    if not all(type(size) is int for size in sizes):
        raise InputError(f"{path} takes an input {shape}, of which the size is not known: refused")
    return [None, *sizes]


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
