"""The description of a network in a model file, translated to the format of Keras 3.

The result names only what `allowed` lists and holds only plain values: nothing that a file names
is imported.
"""

import functools
import inspect
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from fashion_mnist.errors import InputError
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files.allowed import (
    ACTIVATING,
    ACTIVATIONS,
    AUTOKERAS,
    COMPUTING,
    CONTAINERS,
    OPERATIONS,
    TENSORFLOW_FUNCTIONS,
    WITHOUT_EFFECT,
    WRAPPERS,
)

MOST_CALLS = 10_000  # of layers, while the network is built

# These do not change what a network predicts with the weights in its file. Unrolled recurrent
# layers would only take longer to build.
_IGNORED = re.compile(
    r".*_(initializer|regularizer|constraint)|dtype|build_config|batch_input_shape|dropout|"
    r"recurrent_dropout|implementation|input_dim|input_length|seed|unroll|(key|query|value)_shape"
)
# Arguments of Keras 2 by the names of Keras 3, by their layer.
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}, "ReLU": {"theta": "threshold"}}
# Arguments that Keras takes without declaring them.
_UNDECLARED = {"LayerNormalization": {"rms_scaling"}}
_FLOATS = re.compile(r"b?float\d+")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.>-]")
_ACTIVATION = re.compile(r"(.*_)?activation")

Description = dict[str, Any]


def inert(
    path: Path,
    description: Description,
    keras_2: bool = False,
    image_shape: tuple[int, ...] = (),
) -> Description:
    """Translate the description of a network to Keras 3, without anything that could run code.

    Args:
        path: the model file, for messages.
        description: the network as Keras 2 or 3 describes it.
        keras_2: whether Keras 2 wrote the file.
        image_shape: stands in for sizes of the input that the description leaves open.

    Returns:
        A description of a `Sequential` or `Functional` for `from_config`. Layers with
        no effect at inference become `Identity`.

    Raises:
        InputError: the description names something that is not allowed, or nests networks so
            deeply that building them would not end.
        Exception: the description is malformed; the type depends on how.
    """
    if description["class_name"] not in CONTAINERS:
        raise InputError(
            f"{path} is a {description['class_name']!r}, a class of its author's own, without its "
            "layers: needed is a Sequential or functional model"
        )
    clean = _Translator(path, keras_2, image_shape).container(description, outermost=True)
    if _calls(clean) > MOST_CALLS:
        _refuse(path, f"calls layers more than {MOST_CALLS:,} times")
    return clean


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InputError(f"{path} {reason}: refused")


def _calls(layer: Description) -> int:
    """How many layers are called to build this one. A Sequential calls its layers for each."""
    inner = layer["config"].get("layers")
    if inner is None:
        return 1
    times = len(inner) if layer["class_name"] == "Sequential" else 1
    return sum(_calls(each) * (times + len(each.get("inbound_nodes", ()))) for each in inner)


@functools.cache
def _arguments_of(kind: str) -> frozenset[str]:
    cls = getattr(keras.layers, kind)
    return (
        frozenset(
            parameter
            for base in inspect.getmro(cls)
            if "__init__" in vars(base) and base is not object
            for parameter in inspect.signature(vars(base)["__init__"]).parameters
        )
        | {"trainable", "name"}
        | _UNDECLARED.get(kind, set())
    )


class _Translator:
    """Translates one file's description; refuses what is not allowed, with the file's path."""

    def __init__(self, path: Path, keras_2: bool, image_shape: tuple[int, ...]) -> None:
        self._path = path
        self._keras_2 = keras_2
        self._image_shape = image_shape
        self._numbers: dict[str, dict[str, int]] = {}  # of names that would become the same

    def container(self, source: Description, outermost: bool = False) -> Description:
        kind, config = source["class_name"], source["config"]
        if isinstance(config, list):  # an early Keras 2 Sequential
            config = {"layers": config}
        sources = config["layers"]
        calls = self._first_calls(sources, CONTAINERS)
        layers = [self.layer(each, calls, outermost) for each in sources]
        clean: Description = {"name": "network", "layers": layers}
        if not outermost:
            clean["name"] = self._name(source.get("name") or config["name"])
        if isinstance(config.get("trainable"), bool):
            clean["trainable"] = config["trainable"]
        if kind != "Sequential":
            ends = self._first_calls(sources, {"Sequential"})
            for key in ("input_layers", "output_layers"):
                clean[key] = self._ends(key, config[key], ends, outermost)
            return _described("Functional", clean)
        shape = _stated_input(source)
        if outermost and not shape:
            self._refuse("does not state the shape of its input")
        if shape and layers[0]["class_name"] != "InputLayer":
            layers.insert(0, self._input({"batch_shape": shape}, outermost))
        return _described("Sequential", clean)

    def layer(self, source: Any, calls: dict[str, int], outermost: bool = False) -> Description:
        """A layer of a container; `calls` gives the index of the first call of each network."""
        kind, config = _kind(source), source["config"]
        nodes = source.get("inbound_nodes", [])
        inbound = [self._call(node, calls) for node in nodes]
        # HDF5 files tell `Add()([x, y])` from `x + y` only by this: an operation is not trainable.
        module = source.get("module")
        is_operation = kind in OPERATIONS and (
            kind not in COMPUTING
            or str(module).startswith("keras.src.ops")
            or (module is None and "trainable" not in config)
        )
        if kind in CONTAINERS:
            clean = self.container(source)
        elif kind == "InputLayer":
            clean = self._input(config, outermost)
        elif kind in ("TFOpLambda", "SlicingOpLambda"):
            clean = self._function(config, inbound)
        elif is_operation:
            clean = self._operation(kind, self._plain(config), inbound)
        elif kind in AUTOKERAS:
            clean = self._operation(*AUTOKERAS[kind], inbound)
        elif kind == "RandomCrop" and self._keras_2:  # which crops in prediction too
            arguments = {key: self._plain(config[key]) for key in ("height", "width", "name")}
            clean = _described("Resizing", arguments | {"crop_to_aspect_ratio": True})
        elif kind in WITHOUT_EFFECT:
            clean = _described("Identity", {})
            for each in inbound:
                each["kwargs"] = {}
        elif kind in COMPUTING or kind == "ThresholdedReLU":
            kind = "ReLU" if kind == "ThresholdedReLU" else kind
            clean = _described(kind, self._arguments(kind, config))
        elif str(module).startswith("keras.src.ops"):
            self._refuse(f"calls keras.ops.{_function_name(kind)}, which is not known to be safe")
        else:
            self._refuse(f"has a layer {kind!r}, which is not known to be safe")
        if "name" in config and kind not in CONTAINERS:
            clean["config"]["name"] = self._name(config["name"])
        if "inbound_nodes" in source:
            clean |= {"name": self._name(source["name"]), "inbound_nodes": inbound}
        return clean

    def _input(self, config: Description, outermost: bool) -> Description:
        shape = config.get("batch_shape") or config["batch_input_shape"]
        sizes = list(shape[1:])
        if outermost and len(sizes) in (2, 3) and self._image_shape:
            sizes = [known or own for known, own in zip(sizes, self._image_shape, strict=False)]
        if not all(type(size) is int for size in sizes):
            self._refuse(f"takes an input {shape}, whose size is not known")
        return _described("InputLayer", {"batch_shape": [None, *sizes]})

    def _arguments(self, kind: str, config: Description) -> Description:
        arguments = {}
        for key, value in config.items():
            key = _RENAMED.get(kind, {}).get(key, key)
            if _IGNORED.fullmatch(key) or (key == "trainable" and not isinstance(value, bool)):
                continue
            if key == "quantization_config" and value:
                raise InputError(f"{self._path} is quantized: save the model before quantize()")
            if key not in _arguments_of(kind):
                if value is None or value is False or (key, value) == ("groups", 1):
                    continue  # what Keras 2 has turned off, such as time_major
                self._refuse(f"gives a {kind} the argument {key}={value!r}, unknown to Keras 3")
            if _ACTIVATION.fullmatch(key):
                arguments[key] = self._activation(value)
            elif kind in WRAPPERS and key in ("layer", "backward_layer"):
                arguments[key] = value and self._wrapped(value)
            elif key == "axis" and isinstance(value, list) and len(value) == 1:  # Keras 2
                arguments[key] = self._plain(value[0])
            else:
                arguments[key] = self._plain(value)
        return arguments

    def _activation(self, value: Any) -> Any:
        if value is None:
            return None
        name = value
        if isinstance(value, dict):
            if value.get("class_name") in ACTIVATING:
                return self.layer(value, {})
            # Keras and TensorFlow write the name of their own functions like this, too.
            name = value.get("config") if value.get("class_name") == "function" else "an object"
        if not isinstance(name, str) or name.removesuffix("_v2") not in ACTIVATIONS:
            self._refuse(f"has an activation {name!r} that is not Keras's")
        return name.removesuffix("_v2")

    def _wrapped(self, source: Description) -> Description:
        if source["class_name"] in CONTAINERS | WRAPPERS:
            self._refuse(f"wraps a {source['class_name']} in a layer")
        return self.layer(source, {})

    def _operation(
        self, kind: str, arguments: Description, inbound: list[Description]
    ) -> Description:
        """An operation of Keras 3; in its calls, arrays have a shape and slices their name."""
        if kind == "Cast" and _FLOATS.fullmatch(arguments["dtype"]):
            arguments = arguments | {"dtype": "float32"}  # all computing is in float32
        for call in inbound:
            first, *others = call["args"]
            if kind == "GetItem" and isinstance(others[0], list):
                others = [[_as_slice(each) for each in others[0]]]
            elif kind != "GetItem":
                first, *others = map(_as_array, call["args"])
            call["args"] = [first, *others]
        return _described(kind, arguments, OPERATIONS[kind])

    def _function(self, config: Description, inbound: list[Description]) -> Description:
        """A function of TensorFlow, and its calls, in the terms of Keras 3."""
        name = config.get("function")
        if not isinstance(name, str) or name not in TENSORFLOW_FUNCTIONS:
            self._refuse(f"calls tf.{name}, which is not known to be safe")
        function = TENSORFLOW_FUNCTIONS[name]
        arguments = dict(function.given)
        for call in inbound:
            given = {
                key: value.lower() if isinstance(value, str) else value
                for key, value in call["kwargs"].items()
                if key != "name" and value is not None and value is not False and value != "NHWC"
            }
            if function.second in given:
                call["args"].append(given.pop(function.second))
            filling = given.pop("constant_values", 0)
            call["kwargs"] = {"constant_values": filling} if filling else {}
            arguments = arguments | {
                function.renamed.get(key, key): value for key, value in given.items()
            }
        return self._operation(function.operation, arguments, inbound)

    def _call(self, node: Any, calls: dict[str, int]) -> Description:
        """A call of a layer: Keras 3's form is {"args": [...], "kwargs": {...}}."""
        if isinstance(node, dict):
            return {key: self._plain(node[key], calls) for key in ("args", "kwargs")}
        inputs = [node] if isinstance(node[0], str) else node
        tensors = [self._argument(each[:3], calls) for each in inputs]
        kwargs = inputs[-1][3] if len(inputs[-1]) > 3 else {}
        return {
            "args": tensors if len(tensors) == 1 else [tensors],
            "kwargs": {key: self._argument(value, calls) for key, value in kwargs.items()},
        }

    def _argument(self, value: Any, calls: dict[str, int]) -> Any:
        """An argument of a call as Keras 2 writes it: a tensor is [layer, call, output]."""
        match value:
            case ["_CONSTANT_VALUE", -1, constant]:
                return self._plain(constant)
            case [str(), int(), int()]:
                return self._tensor(value, calls)
        return self._plain(value)

    def _tensor(self, history: Any, calls: dict[str, int]) -> Description:
        config = {"shape": [None], "dtype": "float32", "keras_history": self._end(history, calls)}
        return {"class_name": "__keras_tensor__", "config": config}

    def _end(self, history: Any, calls: dict[str, int]) -> list:
        layer, call, output = history
        if type(call) is not int or type(output) is not int:
            self._refuse(f"connects a layer to {history!r}")
        return [self._name(layer), call - calls.get(layer, 0), output]

    def _ends(self, key: str, value: Any, calls: dict[str, int], outermost: bool) -> Any:
        """A network's inputs or outputs; a single one without a list if Keras 2 has it so."""
        if isinstance(value, list) and isinstance(value[0], str):
            return self._end(value, calls)
        is_dict = isinstance(value, dict)
        found = list(value.values()) if is_dict else value
        if outermost and (len(found) != 1 or (is_dict and key == "output_layers")):
            names = ", ".join(map(str, value if is_dict else (each[0] for each in found)))
            raise InputError(
                f"{self._path} has {key.removesuffix('_layers')}s named {names}; needed is a model "
                "from one image to one array of class probabilities"
            )
        ends = [self._ends(key, each, calls, outermost) for each in found]
        if len(ends) == 1 and (outermost or self._keras_2):
            return ends[0]
        return dict(zip(value, ends, strict=True)) if is_dict else ends

    def _first_calls(self, layers: list, kinds: Collection[str]) -> dict[str, int]:
        """The index of the first call of each network in `layers`, by name.

        For a network that declares its input, Keras 2 counts calls from 1.
        """
        return {
            each["name"]: 1
            for each in layers
            if self._keras_2 and "name" in each and each["class_name"] in kinds
            if _stated_input(each)
        }

    def _name(self, name: Any) -> str:
        if not isinstance(name, str):
            self._refuse(f"names a layer {name!r}")
        plain = _NOT_ALLOWED.sub("_", name)  # by TensorFlow
        number = self._numbers.setdefault(plain, {}).setdefault(name, len(self._numbers[plain]))
        return f"{plain}_{number}" if number else plain

    def _plain(self, value: Any, calls: dict[str, int] | None = None) -> Any:
        """Plain data as it is; refuse the description of an object."""
        if isinstance(value, list):
            return [self._plain(each, calls) for each in value]
        if not isinstance(value, dict):
            return value
        if "class_name" not in value:
            return {key: self._plain(each, calls) for key, each in value.items()}
        if value["class_name"] == "__keras_tensor__" and calls is not None:
            return self._tensor(value["config"]["keras_history"], calls)
        match value["class_name"]:
            case "__tuple__":
                return self._plain(value["config"]["value"], calls)
            case "__numpy__" | "__tensor__" if calls is not None:  # an argument of an operation
                plain = self._plain(value["config"]["value"])
                return _as_array(plain) if isinstance(plain, list) else plain
            case "__numpy__" | "__tensor__":
                plain = self._plain(value["config"]["value"])
                return plain[0] if isinstance(plain, list) and len(plain) == 1 else plain
            case "__ellipsis__":
                return {"class_name": "__ellipsis__", "config": {}}
            case "__slice__":
                return _as_slice(self._plain(value["config"], calls))
        self._refuse(f"names the object {value['class_name']!r}")

    def _refuse(self, reason: str) -> NoReturn:
        _refuse(self._path, reason)


def _kind(source: Description) -> str:
    """The class of a layer, without its version and its author's package."""
    return re.sub(r"V[12]$", "", source["class_name"].rpartition(">")[2])


def _function_name(kind: str) -> str:
    """The name of `kind` in keras.ops, as a network's author calls it."""
    names = {name.replace("_", ""): name for name in dir(keras.ops)}
    return names.get(kind.lower(), repr(kind))


def _as_array(value: Any) -> Any:
    """A list of numbers as an array, whose shape Keras then knows."""
    if not isinstance(value, list) or any(isinstance(each, dict) for each in value):  # tensors
        return value
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}


def _as_slice(value: Any) -> Any:
    """A part of an index: `{"start": ...}` as Keras 3 describes a slice; anything else as it is."""
    if not isinstance(value, dict) or "class_name" in value:
        return value
    ends = {key: value.get(key) for key in ("start", "stop", "step")}
    return {"class_name": "__slice__", "config": ends}


def _stated_input(source: Any) -> list | None:
    """The input shape that a layer or network declares, batch size included."""
    config = source["config"]
    if isinstance(config, list):
        config = {"layers": config}
    for key in ("batch_shape", "batch_input_shape", "build_input_shape"):
        if config.get(key):
            return config[key]
    return _stated_input(config["layers"][0]) if config.get("layers") else None


def _described(kind: str, config: Description, module: str = "keras.layers") -> Description:
    if kind in CONTAINERS:
        module = "keras" if kind == "Sequential" else "keras.src.models.functional"
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}
